import MeshCore
import Rooms
import Testing

private func at(_ seq: UInt64, _ epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

private func receipt(_ user: String, delivered: UInt64 = 0, read: UInt64 = 0, hidden: Bool = false) -> Receipt {
    Receipt(
        ReceiptOwner(user: user, isHidden: hidden),
        ReceiptPositions(delivered: delivered == 0 ? .zero : at(delivered), read: read == 0 ? .zero : at(read)))
}

@Suite("Receipts") struct ReceiptPositionsTests {
    @Test("what was read was delivered") func implied() {
        #expect(ReceiptPositions(read: at(5)).delivered == at(5))
        #expect(ReceiptPositions(delivered: at(7), read: at(5)).delivered == at(7))
        #expect(ReceiptPositions(delivered: at(7)).merged(with: ReceiptPositions(read: at(9))).delivered == at(9))
    }

    @Test("nothing beyond the head is confirmed") func limited() {
        #expect(ReceiptPositions(delivered: at(9), read: at(4)).limited(to: at(6)) == ReceiptPositions(delivered: at(6), read: at(4)))
        #expect(ReceiptPositions(delivered: at(9, 2)).limited(to: at(20)) == ReceiptPositions(delivered: at(20)), "epochs come first")
        #expect(
            ReceiptPositions(read: at(.max)).limited(to: at(100, 2)) == ReceiptPositions(read: at(100)), "no such number was handed out")
        #expect(at(100).mayExist(upTo: at(100, 2)) && !at(101).mayExist(upTo: at(100, 2)) && !at(1, 3).mayExist(upTo: at(100, 2)))
    }

    @Test("nothing is confirmed of messages that were deleted") func beyond() {
        #expect(ReceiptPositions(delivered: at(9), read: at(4)).beyond(at(6)) == ReceiptPositions(delivered: at(9)))
        #expect(ReceiptPositions(delivered: at(9), read: at(4)).beyond(at(9)) == .none)
        #expect(ReceiptPositions(read: at(10, 2)).beyond(at(9)) == ReceiptPositions(read: at(10, 2)))
    }

    @Test("the stored form is read back, and other text is refused") func text() {
        for positions in [ReceiptPositions.none, ReceiptPositions(delivered: at(9, 3), read: at(4))] {
            #expect(ReceiptPositions(positions.description) == positions)
        }
        for text in ["", "1-1", "1-1 ", "a b", "1-1 2"] { #expect(ReceiptPositions(text) == nil) }
    }
}

/// A table that expectations can change.
private final class Table {
    private var table: ReceiptTable
    init(entriesMax: Int = ReceiptTable.entriesMax) { table = ReceiptTable(entriesMax: entriesMax) }
    @discardableResult func merge(_ receipt: Receipt) -> ReceiptTable.Outcome { table.merge(receipt) }
    func takeChanges() -> [Receipt] { table.takeChanges() }
    var known: ReceiptTable { table }
}

@Suite("A table of receipts") struct ReceiptTableTests {
    @Test("positions move forward only, each by itself") func forward() {
        let table = Table()
        #expect(table.merge(receipt("alice", delivered: 5)) == .moved(forgotten: 0))
        #expect(table.merge(receipt("alice", delivered: 3)) == .stale)
        #expect(table.merge(receipt("alice", read: 4)) == .moved(forgotten: 0))
        #expect(table.known.own("alice") == ReceiptPositions(delivered: at(5), read: at(4)))
        #expect(table.merge(receipt("alice", delivered: 5, read: 4)) == .stale)
        #expect(table.known.delivered("bob") == .zero)
        #expect(table.merge(receipt("bob")) == .stale, "nothing confirmed is no entry")
        #expect(table.known.count == 1)
    }

    @Test("several changes of a user go on as one, and once") func merging() {
        let table = Table()
        for seq in 1...10 { table.merge(receipt("alice", delivered: UInt64(seq))) }
        table.merge(receipt("bob", read: 2))
        #expect(table.takeChanges().sorted { $0.user < $1.user } == [receipt("alice", delivered: 10), receipt("bob", read: 2)])
        #expect(!table.known.hasChanges && table.takeChanges().isEmpty)
        table.merge(receipt("alice", delivered: 9))
        #expect(!table.known.hasChanges)
    }

    @Test("any order and any repetition give the same table", arguments: 0..<20 as Range<UInt64>)
    func converges(_ seed: UInt64) {
        var generator = SeededRandom(seed: seed)
        let said = (0..<60).map { _ in
            receipt(
                ["alice", "bob", "carol"].randomElement(using: &generator) ?? "", delivered: .random(in: 0...20, using: &generator),
                read: .random(in: 0...20, using: &generator), hidden: .random(using: &generator))
        }
        let first = Table()
        let second = Table()
        for receipt in said { first.merge(receipt) }
        for receipt in (said + said).shuffled(using: &generator) { second.merge(receipt) }
        #expect(Set(first.known.all) == Set(second.known.all), "seed \(seed)")
    }

    @Test("what was confirmed unseen is the user's own business") func hidden() {
        let table = Table()
        table.merge(receipt("alice", delivered: 3))
        table.merge(receipt("alice", read: 8, hidden: true))
        #expect(table.known.shown("alice") == ReceiptPositions(delivered: at(3)))
        #expect(table.known.own("alice") == ReceiptPositions(read: at(8)))
        #expect(table.known.users == ["alice"])
    }

    @Test("at the bound those furthest behind are forgotten, and what did not go on last") func bound() {
        let table = Table(entriesMax: 8)
        for index in 1...8 { table.merge(receipt("u\(index)", delivered: UInt64(index))) }
        _ = table.takeChanges()
        table.merge(receipt("u1", delivered: 2))
        #expect(table.merge(receipt("new", delivered: 1)) == .moved(forgotten: 2))
        #expect(table.known.count == 7)
        #expect(table.known.users == ["u1", "u4", "u5", "u6", "u7", "u8", "new"])
        #expect(Set(table.takeChanges()) == [receipt("u1", delivered: 2), receipt("new", delivered: 1)])
    }

    @Test("a summary has the slowest and the fastest of each kind, of those who have confirmed") func summary() {
        let table = Table()
        #expect(table.known.summary(of: ["alice"]) == nil)
        table.merge(receipt("alice", delivered: 9, read: 2))
        table.merge(receipt("bob", delivered: 5, read: 4))
        table.merge(receipt("carol", read: 20, hidden: true))
        let summary = table.known.summary(of: ["alice", "bob", "carol", "dave"])
        #expect(summary?.lowest == ReceiptPositions(delivered: at(5), read: at(2)))
        #expect(summary?.highest == ReceiptPositions(delivered: at(9), read: at(4)))
    }
}

/// A mirror that expectations can change.
private final class Mirror {
    private(set) var mirror = ReceiptMirror()

    func apply(_ update: ReceiptUpdate, follows: Set<String> = []) -> [ReceiptMirror.Move] {
        mirror.apply(update) { follows.contains($0) }
    }
}

@Suite("Receipts below the root") struct ReceiptMirrorTests {
    @Test("a change moves; a repeat, also as a whole, does not") func repeats() {
        let below = Mirror()
        let first = below.apply(ReceiptUpdate(isWhole: true, receipts: [receipt("alice", delivered: 3)]))
        #expect(first.map(\.user) == ["alice"] && first.first?.shown.delivered == at(3) && first.first?.shown.read == nil)
        #expect(below.apply(ReceiptUpdate(isWhole: false, receipts: [receipt("alice", delivered: 3)])).isEmpty)
        let later = ReceiptUpdate(isWhole: true, receipts: [receipt("alice", delivered: 3), receipt("bob", read: 2)])
        #expect(below.apply(later).map(\.user) == ["bob"])
        #expect(below.mirror.users == ["alice", "bob"] && below.mirror.whole.receipts.count == 2)
    }

    @Test("READ says DELIVERED too; DELIVERED beyond it is a word of its own") func kinds() {
        let below = Mirror()
        let read = below.apply(ReceiptUpdate(isWhole: false, receipts: [receipt("alice", read: 3)]))
        #expect(read.first?.shown.read == at(3) && read.first?.shown.delivered == nil)
        let both = below.apply(ReceiptUpdate(isWhole: false, receipts: [receipt("alice", delivered: 6, read: 5)]))
        #expect(both.first?.shown.read == at(5) && both.first?.shown.delivered == at(6))
    }

    @Test("what is hidden moves for the user alone") func hidden() {
        let below = Mirror()
        let moved = below.apply(ReceiptUpdate(isWhole: false, receipts: [receipt("alice", read: 3, hidden: true)]))
        #expect(moved.first?.own.read == at(3) && moved.first?.shown.isForward == false)
        let shown = below.apply(ReceiptUpdate(isWhole: false, receipts: [receipt("alice", read: 3)]))
        #expect(shown.first?.own.isForward == false && shown.first?.shown.read == at(3))
    }

    @Test("a summarized room keeps those who are followed, and its summary; then everybody again") func summarized() {
        let below = Mirror()
        _ = below.apply(ReceiptUpdate(isWhole: true, receipts: [receipt("alice", read: 3), receipt("bob", read: 4)]))
        let summary = ReceiptSummary(lowest: ReceiptPositions(read: at(3)), highest: ReceiptPositions(read: at(9)))
        let change = ReceiptUpdate(
            isWhole: true, isSummarized: true, receipts: [receipt("alice", read: 5), receipt("bob", read: 9)], summary: summary)
        #expect(below.apply(change, follows: ["alice"]).map(\.user) == ["alice"])
        #expect(below.mirror.isSummarized && below.mirror.summary == summary)
        #expect(below.mirror.own("alice").read == at(5) && below.mirror.own("bob") == .none)
        #expect(below.mirror.whole == ReceiptUpdate(isWhole: true, isSummarized: true, summary: summary))
        let unsaid = ReceiptUpdate(isWhole: false, isSummarized: true, receipts: [receipt("bob", read: 10)])
        #expect(below.apply(unsaid, follows: ["alice"]).isEmpty && below.mirror.summary == summary)
        _ = below.apply(ReceiptUpdate(isWhole: true, receipts: [receipt("alice", read: 5), receipt("bob", read: 10)]))
        #expect(!below.mirror.isSummarized && below.mirror.summary == nil && below.mirror.own("bob").read == at(10))
    }
}

/// Bob's inbox, which expectations can change.
private final class Inbox {
    private var direct = DirectReceipts(of: "bob")

    init(_ messages: (UInt64, String)..., stored: ReceiptPositions? = ReceiptPositions.none) {
        for (seq, sender) in messages { append(seq, sender) }
        if let stored { direct.loaded(stored) }
    }

    var isIdle: Bool { direct.isIdle }
    func append(_ seq: UInt64, _ sender: String) { direct.appended(.init(position: at(seq), sender: sender)) }
    func load(_ stored: ReceiptPositions) { direct.loaded(stored) }
    func read(_ messages: [DirectReceipts.Sent]?, for missing: DirectReceipts.Missing) { direct.read(messages, for: missing) }
    func takeWords() -> [DirectReceipts.Word] { direct.takeWords() }
    func failed(_ word: DirectReceipts.Word) { direct.failed(word) }
    func takeLost() -> Int { direct.takeLost() }

    /// Bob confirms, and whom to tell is worked out.
    func confirm(delivered: UInt64 = 0, read: UInt64 = 0) -> DirectReceipts.Missing? {
        direct.moved(to: receipt("bob", delivered: delivered, read: read).positions)
        return direct.advance()
    }

    var words: [String: ReceiptPositions] {
        Dictionary(direct.takeWords().map { ($0.sender, $0.positions) }) { first, _ in first }
    }
}

@Suite("Receipts of direct messages") struct DirectReceiptsTests {
    @Test("each sender is told up to her own last message, and once") func senders() {
        let inbox = Inbox((1, "alice"), (2, "carol"), (3, "alice"), (4, "bob"), (5, "alice"))
        #expect(inbox.confirm(delivered: 4, read: 2) == nil)
        #expect(inbox.words == ["alice": ReceiptPositions(delivered: at(3), read: at(1)), "carol": ReceiptPositions(read: at(2))])
        #expect(inbox.confirm() == nil && inbox.takeWords().isEmpty && inbox.isIdle)
        #expect(inbox.confirm(read: 4) == nil)
        #expect(inbox.words == ["alice": ReceiptPositions(read: at(3))])
    }

    @Test("nothing is said before it is known what was said before") func unknown() {
        let inbox = Inbox((7, "alice"), stored: nil)
        #expect(inbox.confirm(read: 7) == nil && inbox.takeWords().isEmpty && !inbox.isIdle)
        inbox.load(ReceiptPositions(read: at(6)))
        #expect(inbox.confirm() == nil)
        #expect(inbox.words == ["alice": ReceiptPositions(read: at(7))])
    }

    @Test("what an earlier root has taken is read from the log") func missing() throws {
        let inbox = Inbox(stored: ReceiptPositions(delivered: at(2)))
        let missing = try #require(inbox.confirm(delivered: 5))
        #expect(missing == .init(after: at(2), upTo: at(5)))
        #expect(inbox.confirm(delivered: 6) == nil, "one read at a time")
        inbox.read(nil, for: missing)
        let again = try #require(inbox.confirm(), "it could not be read")
        #expect(again == .init(after: at(2), upTo: at(6)))
        #expect(inbox.confirm(delivered: 7) == nil)
        inbox.read([.init(position: at(3), sender: "alice"), .init(position: at(6), sender: "carol")], for: again)
        #expect(inbox.words == ["alice": ReceiptPositions(delivered: at(3)), "carol": ReceiptPositions(delivered: at(6))])
        #expect(inbox.confirm() == .init(after: at(6), upTo: at(7)), "what was confirmed meanwhile")
    }

    @Test("messages beyond the memory are read too") func bound() throws {
        let inbox = Inbox()
        for seq in 1...UInt64(DirectReceipts.most + 5) { inbox.append(seq, "alice") }
        let missing = try #require(inbox.confirm(delivered: 8))
        inbox.read([.init(position: at(8), sender: "alice")], for: missing)
        #expect(inbox.confirm(delivered: 9) == nil)
        #expect(inbox.words == ["alice": ReceiptPositions(delivered: at(9))])
    }

    @Test("a word that is not heard is said again, a bounded number of times, with what is newer") func retries() throws {
        let inbox = Inbox((1, "alice"), (2, "alice"))
        #expect(inbox.confirm(delivered: 1) == nil)
        let first = try #require(inbox.takeWords().first)
        #expect(inbox.confirm(delivered: 2) == nil)
        inbox.failed(first)
        var word = try #require(inbox.takeWords().first)
        #expect(word.positions == ReceiptPositions(delivered: at(2)) && word.failures == 1)
        for _ in 2..<DirectReceipts.failuresMax {
            inbox.failed(word)
            word = try #require(inbox.takeWords().first)
        }
        #expect(inbox.takeLost() == 0)
        inbox.failed(word)
        #expect(inbox.takeWords().isEmpty && inbox.takeLost() == 1 && inbox.takeLost() == 0)
    }
}
