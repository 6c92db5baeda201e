import MeshCore
import Testing

@testable import Rooms

private func at(_ epoch: UInt64, _ seq: UInt64) -> Position { Position(epoch: epoch, seq: seq) }

/// Epoch 1 held 1 to 5, epoch 2 holds 6 to 12 and is open.
private let epochs = [EpochSpan(epoch: 1, first: 1, last: 5), EpochSpan(epoch: 2, first: 6, last: nil)]
private let head = at(2, 12)

private func gaps(after position: Position, next: Position?, _ spans: [EpochSpan] = epochs, head: Position = head) -> [String] {
    LogStart.gaps(after: position, next: next, epochs: spans, head: head).map { "\($0.from) \($0.to)" }
}

@Suite("Where a log goes on for a reader who comes back") struct LogStartTests {
    @Test("from a position that is followed by the next message: whole") func whole() {
        #expect(gaps(after: at(2, 8), next: at(2, 9)) == [])
        #expect(gaps(after: at(1, 5), next: at(2, 6)) == [])
        #expect(gaps(after: .zero, next: at(2, 9)) == [])
    }

    @Test("from the head, or from nothing in an empty log: whole") func head() {
        #expect(gaps(after: at(2, 12), next: nil) == [])
        #expect(gaps(after: .zero, next: nil, [], head: .zero) == [])
    }

    @Test("what was trimmed is told exactly") func trimmed() {
        #expect(gaps(after: at(2, 7), next: at(2, 10)) == ["2-8 2-9"])
        #expect(gaps(after: at(1, 3), next: at(2, 8)) == ["1-4 2-7"])
        #expect(gaps(after: at(1, 5), next: at(2, 8)) == ["2-6 2-7"])
        #expect(gaps(after: at(2, 7), next: nil) == ["2-8 2-12"])
    }

    @Test("what a newer epoch went on without is told, and the epoch is read from its start") func diverged() {
        #expect(gaps(after: at(1, 7), next: at(2, 6)) == ["1-6 1-7"])
        #expect(gaps(after: at(1, 7), next: at(2, 9)) == ["1-6 1-7", "2-6 2-8"])
        #expect(gaps(after: at(1, 7), next: nil, [EpochSpan(epoch: 1, first: 1, last: 5)], head: at(1, 5)) == ["1-6 1-7"])
    }

    @Test("what was handed out and never kept shows as a jump between epochs") func lostBetween() {
        let spans = [EpochSpan(epoch: 1, first: 1, last: 5), EpochSpan(epoch: 2, first: 8, last: nil)]
        #expect(gaps(after: at(1, 5), next: at(2, 8), spans) == ["1-6 2-7"])
        #expect(gaps(after: at(1, 7), next: at(2, 8), spans) == [])
        #expect(gaps(after: at(1, 6), next: at(2, 8), spans) == ["1-6 1-6", "1-7 2-7"])
    }

    @Test("positions that do not exist yet") func future() {
        #expect(gaps(after: at(2, 20), next: nil) == ["2-13 2-20"])
        #expect(gaps(after: at(9, 3), next: nil) == ["9-3 9-3"])
        #expect(gaps(after: at(9, 3), next: nil, [], head: .zero) == ["9-3 9-3"])
    }

    @Test("an epoch that the table has forgotten") func forgotten() {
        let spans = [EpochSpan(epoch: 7, first: 100, last: nil)]
        #expect(gaps(after: at(3, 50), next: at(7, 110), spans, head: at(7, 120)) == ["3-51 7-109"])
    }

    @Test("the last messages, counted over epochs") func last() {
        #expect(LogStart.position(ofLast: 3, epochs: epochs, head: at(2, 12)) == at(2, 9))
        #expect(LogStart.position(ofLast: 8, epochs: epochs, head: at(2, 12)) == at(1, 4))
        #expect(LogStart.position(ofLast: 12, epochs: epochs, head: at(2, 12)) == .zero)
        #expect(LogStart.position(ofLast: 100, epochs: epochs, head: at(2, 12)) == .zero)
        #expect(LogStart.position(ofLast: 0, epochs: epochs, head: at(2, 12)) == at(2, 12))
        let jump = [EpochSpan(epoch: 1, first: 1, last: 5), EpochSpan(epoch: 2, first: 8, last: nil)]
        #expect(LogStart.position(ofLast: 5, epochs: jump, head: at(2, 12)) == at(1, 5))
    }
}
