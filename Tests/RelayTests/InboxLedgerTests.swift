import MeshCore
import Push
import Testing

@testable import Relay

private func at(_ seq: UInt64) -> Position { Position(epoch: 1, seq: seq) }

private func message(_ seq: UInt64, from: String = "bob", _ reason: PushNotification.Reason = .message) -> PushNotification {
    PushNotification(
        user: "alice", room: "@alice", position: at(seq), from: from, contentType: "", text: "\(seq)", dataBytes: nil, at: 0,
        reason: reason,
        count: 1)
}

@Suite struct InboxLedgerTests {
    /// The root of an inbox whose user has no session, as the store has said.
    private func certain() -> InboxLedger {
        var ledger = InboxLedger()
        #expect(ledger.becameCertain() == nil)
        return ledger
    }

    @Test("while she is away a note is made before the append, and made good with the notification") func away() {
        var ledger = certain()
        #expect(ledger.willAppend(behind: at(4)) == at(4))
        #expect(ledger.appended([message(5), message(6)]) == .init(notifications: [message(5), message(6)], settles: at(4)))
        #expect(ledger.willAppend(behind: at(6)) == at(6))
        // Nothing but what was there already: the note is taken back.
        #expect(ledger.appended([]) == .init(notifications: [], settles: at(6)))
    }

    @Test("while she has a session nothing is owed, and nothing noted") func present() {
        var ledger = certain()
        #expect(ledger.arrived(head: at(4)) == nil)
        #expect(ledger.willAppend(behind: at(4)) == nil)
        #expect(ledger.appended([message(5)]) == nil)
    }

    @Test("what she has not confirmed is owed when she leaves: once") func unconfirmed() {
        var ledger = certain()
        _ = ledger.arrived(head: at(4))
        #expect(ledger.arrived(head: at(9)) == nil)
        #expect(ledger.left(delivered: nil) == at(4))
        let newest = message(7, .unconfirmed)
        #expect(ledger.unconfirmed(newest) == .init(notifications: [newest]))
        // She comes and goes again without a word.
        _ = ledger.arrived(head: at(7))
        #expect(ledger.left(delivered: at(3)) == at(7))
        #expect(ledger.unconfirmed(newest) == nil)
        #expect(ledger.left(delivered: nil) == nil)
    }

    @Test("what she was told of while she was away is not told again when she leaves") func toldBefore() {
        var ledger = certain()
        _ = ledger.willAppend(behind: at(4))
        _ = ledger.appended([message(5)])
        _ = ledger.arrived(head: at(5))
        #expect(ledger.left(delivered: at(2)) == at(5))
        #expect(ledger.unconfirmed(message(5, .unconfirmed)) == nil)
    }

    @Test("what an earlier root has told is not told again: nothing came since") func rootMoved() {
        var ledger = certain()
        _ = ledger.arrived(head: at(5))
        #expect(ledger.left(delivered: at(2)) == at(5), "of what she confirmed long ago nothing follows for what came before her session")
    }

    @Test("what she confirmed counts, not when her session began") func delivered() {
        var ledger = certain()
        _ = ledger.arrived(head: at(4))
        #expect(ledger.left(delivered: at(6)) == at(6))
    }

    @Test("her own message, or her return, leaves nothing to tell") func nothingToTell() {
        var ledger = certain()
        _ = ledger.arrived(head: at(4))
        _ = ledger.left(delivered: nil)
        #expect(ledger.unconfirmed(message(5, from: "alice", .unconfirmed)) == nil)
        _ = ledger.arrived(head: at(5))
        #expect(ledger.unconfirmed(message(5, .unconfirmed)) == nil)
    }

    @Test("a new root waits until it knows who is there: nobody") func undecidedAway() {
        var ledger = InboxLedger()
        #expect(ledger.willAppend(behind: at(4)) == at(4))
        #expect(ledger.appended([message(5)]) == nil)
        #expect(ledger.willAppend(behind: at(5)) == nil)
        #expect(ledger.appended([message(6)]) == nil)
        #expect(ledger.becameCertain() == .init(notifications: [message(5), message(6)], settles: at(4)))
    }

    @Test("a new root waits until it knows who is there: she is, and what came meanwhile belongs to her session") func undecidedPresent() {
        var ledger = InboxLedger()
        _ = ledger.willAppend(behind: at(4))
        _ = ledger.appended([message(5)])
        #expect(ledger.arrived(head: at(5)) == .init(notifications: [], settles: at(4)))
        #expect(ledger.becameCertain() == nil)
        #expect(ledger.left(delivered: nil) == at(4))
    }

    @Test("a head that is learned later is where her session began") func lateHead() {
        var ledger = certain()
        _ = ledger.arrived(head: nil)
        ledger.learned(head: at(8))
        ledger.learned(head: at(9))
        #expect(ledger.left(delivered: nil) == at(8))
        _ = ledger.arrived(head: nil)
        #expect(ledger.left(delivered: nil) == nil)
    }

    @Test("after an append that failed the next batch makes a note of its own") func failed() {
        var ledger = certain()
        #expect(ledger.willAppend(behind: at(4)) == at(4))
        ledger.appendFailed()
        #expect(ledger.willAppend(behind: at(5)) == at(5))
    }

    @Test("what waits for certainty is bounded: the note stands for the rest") func bounded() {
        var ledger = InboxLedger()
        #expect(ledger.willAppend(behind: at(0)) == at(0))
        for seq in 0...UInt64(InboxLedger.undecidedMax) { #expect(ledger.appended([message(seq + 1)]) == nil) }
        #expect(ledger.becameCertain() == nil)
    }
}
