import MeshCore
import Rooms
import Testing

private func at(_ seq: UInt64, _ epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

@Suite("Unread") struct UnreadTests {
    private func count(head: Position, read: Position, oldest: Position?, epochs: [EpochSpan] = []) -> UInt64 {
        guard let first = Unread.first(head: head, read: read, oldest: oldest) else { return 0 }
        #expect(Unread.needsEpochs(from: first, to: head) == !epochs.isEmpty)
        return Unread.count(from: first, to: head, epochs: epochs)
    }

    @Test("is what is kept after READ") func kept() {
        #expect(count(head: at(10), read: at(4), oldest: at(1)) == 6)
        #expect(count(head: at(10), read: .zero, oldest: at(1)) == 10)
        #expect(count(head: at(10), read: .zero, oldest: at(8)) == 3, "the others are trimmed")
        #expect(count(head: at(10), read: at(4), oldest: at(8)) == 3)
    }

    @Test("is never negative, and 0 where nothing is") func none() {
        #expect(count(head: at(10), read: at(10), oldest: at(1)) == 0)
        #expect(count(head: at(10), read: at(12), oldest: at(1)) == 0)
        #expect(count(head: .zero, read: .zero, oldest: nil) == 0)
        #expect(count(head: at(10), read: .zero, oldest: nil) == 0, "all trimmed")
        #expect(count(head: at(3, 2), read: at(9, 4), oldest: at(1)) == 0, "an epoch that was lost")
    }

    @Test("goes on across epochs") func epochs() {
        let epochs = [
            EpochSpan(epoch: 1, first: 1, last: 10), EpochSpan(epoch: 2, first: 11, last: 10), EpochSpan(epoch: 3, first: 11, last: nil),
        ]
        #expect(count(head: at(12, 3), read: at(10), oldest: at(1), epochs: epochs) == 2)
        #expect(count(head: at(12, 3), read: at(7), oldest: at(1), epochs: epochs) == 5)
        #expect(count(head: at(12, 3), read: at(7), oldest: at(9), epochs: epochs) == 4)
        #expect(count(head: at(12, 3), read: at(11, 3), oldest: at(1)) == 1)
    }

    @Test("counts what a log that lost its tail has handed out again") func lostTail() {
        let epochs = [EpochSpan(epoch: 1, first: 1, last: 150), EpochSpan(epoch: 2, first: 151, last: nil)]
        #expect(count(head: at(160, 2), read: at(200), oldest: at(1), epochs: epochs) == 10)
        #expect(count(head: at(160, 2), read: at(140), oldest: at(1), epochs: epochs) == 20)
        #expect(count(head: at(160, 2), read: at(155, 2), oldest: at(1)) == 5)
    }

    @Test("does not count numbers that a newer epoch has skipped") func skipped() {
        let epochs = [EpochSpan(epoch: 1, first: 1, last: 150), EpochSpan(epoch: 2, first: 201, last: nil)]
        #expect(count(head: at(210, 2), read: at(200), oldest: at(1), epochs: epochs) == 10)
        #expect(count(head: at(210, 2), read: at(140), oldest: at(1), epochs: epochs) == 20)
    }

    @Test("leaves out what came before the epochs that are remembered") func forgottenEpochs() {
        let epochs = [EpochSpan(epoch: 4, first: 50, last: 59), EpochSpan(epoch: 5, first: 60, last: nil)]
        #expect(count(head: at(64, 5), read: .zero, oldest: at(20, 2), epochs: epochs) == 15)
    }
}
