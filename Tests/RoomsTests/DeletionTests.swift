import MeshCore
import Rooms
import Testing

private func at(_ seq: UInt64, _ epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

private func receipt(_ user: String, _ seq: UInt64) -> Receipt {
    Receipt(ReceiptOwner(user: user), ReceiptPositions(read: at(seq)))
}

/// Receipts that expectations can change.
private final class Journal {
    private var unwritten = UnwrittenReceipts()

    var isSettled: Bool { unwritten.isSettled }
    func add(_ receipt: Receipt) { unwritten.add(receipt) }
    func begin() -> [Receipt]? { unwritten.begin()?.sorted { $0.user < $1.user } }
    func change(_ body: (inout UnwrittenReceipts) -> Void) { body(&unwritten) }
}

/// A mark that expectations can change.
private final class Mark {
    private var mark = DeletionMark()

    var upTo: Position? { mark.upTo }
    func learned(_ said: Position?) -> Bool { mark.learned(said) }
}

@Suite("Receipts on their way to the store") struct UnwrittenReceiptsTests {
    @Test("one write at a time, and what failed is written again with what came meanwhile") func writes() {
        let unwritten = Journal()
        #expect(unwritten.begin() == nil && unwritten.isSettled)
        unwritten.add(receipt("alice", 4))
        #expect(unwritten.begin() == [receipt("alice", 4)])
        unwritten.add(receipt("bob", 5))
        #expect(unwritten.begin() == nil && !unwritten.isSettled)
        unwritten.change { $0.ended(isWritten: false) }
        #expect(unwritten.begin() == [receipt("alice", 4), receipt("bob", 5)])
        unwritten.change { $0.ended(isWritten: true) }
        #expect(unwritten.begin() == nil && unwritten.isSettled)
    }

    @Test("nothing is written while the store deletes: it would come behind the deletion") func held() {
        let unwritten = Journal()
        unwritten.add(receipt("alice", 4))
        unwritten.add(receipt("bob", 5))
        unwritten.change { $0.deletionBegan() }
        #expect(unwritten.begin() == nil)
        unwritten.add(receipt("alice", 6))
        unwritten.change { $0.forget("alice") }
        unwritten.change { $0.deletionEnded() }
        #expect(unwritten.begin() == [receipt("bob", 5)])
    }

    @Test("a write that fails does not bring back what was forgotten meanwhile") func forgottenUnderWay() {
        let unwritten = Journal()
        for user in ["alice", "bob"] { unwritten.add(receipt(user, 4)) }
        #expect(unwritten.begin()?.count == 2)
        unwritten.change { $0.forget("alice") }
        unwritten.change { $0.ended(isWritten: false) }
        #expect(unwritten.begin() == [receipt("bob", 4)])
        unwritten.change { $0.forget(upTo: at(4)) }
        unwritten.change { $0.ended(isWritten: false) }
        #expect(unwritten.begin() == nil)
        unwritten.add(receipt("carol", 5))
        _ = unwritten.begin()
        unwritten.change { $0.forgetAll() }
        unwritten.change { $0.ended(isWritten: false) }
        #expect(unwritten.begin() == nil && unwritten.isSettled)
    }

    @Test("of a room that was deleted only what came later is left") func upTo() {
        var table = ReceiptTable()
        for entry in [receipt("alice", 4), receipt("bob", 7)] { _ = table.merge(entry) }
        table.forget(upTo: at(5))
        #expect(table.all == [receipt("bob", 7)] && table.takeChanges() == [receipt("bob", 7)])
    }
}

@Suite("How far a room was deleted") struct DeletionMarkTests {
    @Test("a deletion that was not heard of is missed, once") func missed() {
        let mark = Mark()
        #expect(mark.upTo == nil && !mark.learned(.zero))
        #expect(!mark.learned(nil) && mark.upTo == .zero)
        #expect(mark.learned(at(9)) && mark.upTo == at(9))
        #expect(!mark.learned(at(9)) && !mark.learned(.zero) && !mark.learned(nil) && mark.upTo == at(9))
        #expect(mark.learned(at(9, 2)))
    }

    @Test("a level that is new has missed nothing") func new() {
        let mark = Mark()
        #expect(!mark.learned(at(9)) && mark.upTo == at(9))
    }
}
