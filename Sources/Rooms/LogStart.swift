import MeshCore

/// One epoch of a room's log: which seqs it holds, trimmed ones included.
public struct EpochSpan: Hashable, Sendable {
    public var epoch: UInt64
    public var first: UInt64
    /// Nil while the epoch is open.
    public var last: UInt64?

    public init(epoch: UInt64, first: UInt64, last: UInt64?) {
        self.epoch = epoch
        self.first = first
        self.last = last
    }
}

/// What a log can say to a reader who comes back with a position. A recovery is whole, or it says exactly what is lost (promises P2, P6).
public enum LogStart {
    /// Whether `next`, the first kept message after `position` (nil for none), is the one that the reader wants. If so, no epoch has to be
    /// looked at.
    public static func isWhole(after position: Position, next: Position?, head: Position) -> Bool {
        if position == .zero { return true }
        guard let next else { return position == head }
        return position.isFollowed(by: next)
    }

    /// The ranges that are lost right after `position`, in order.
    ///
    /// - Parameters:
    ///   - next: the first kept message after `position`, nil for none.
    ///   - epochs: oldest first.
    ///   - head: the last position handed out.
    public static func gaps(
        after position: Position, next: Position?, epochs: [EpochSpan], head: Position
    ) -> [(from: Position, to: Position)] {
        if isWhole(after: position, next: next, head: head) { return [] }
        var gaps: [(from: Position, to: Position)] = []
        var reached = position
        if let last = last(of: position.epoch, epochs, head: head) {
            if position.seq > last {
                // She saw what this log never kept: a newer epoch went on without it.
                gaps.append((Position(epoch: position.epoch, seq: last + 1), position))
                reached = Position(epoch: position.epoch, seq: last)
            }
        } else if epochs.last.map({ $0.epoch < position.epoch }) ?? true {
            // Of an epoch that this log has not come to, nothing can be said but that it cannot be gone on from.
            return [(position, position)]
        }
        let end = next ?? head.successor
        guard end > position, end.seq > 0, !reached.isFollowed(by: end) else { return gaps }
        let to = end.predecessor
        let first = start(after: reached, epochs: epochs)
        // If nothing was ever handed out in between, what the epochs skip was lost before it was kept.
        let from = first <= to ? first : position.successor
        if from <= to { gaps.append((from, to)) }
        return gaps
    }

    /// The last seq of an epoch, nil for one that the log does not know.
    private static func last(of epoch: UInt64, _ epochs: [EpochSpan], head: Position) -> UInt64? {
        guard let span = epochs.last(where: { $0.epoch == epoch }) else { return nil }
        return span.last ?? (head.epoch == epoch ? head.seq : span.first - min(1, span.first))
    }

    /// The first position after `position` that was ever handed out.
    private static func start(after position: Position, epochs: [EpochSpan]) -> Position {
        guard let span = epochs.last(where: { $0.epoch == position.epoch }), let last = span.last, position.seq >= last,
            let later = epochs.first(where: { $0.epoch > position.epoch })
        else { return position.successor }
        return Position(epoch: later.epoch, seq: later.first)
    }

    /// The position after which the last `count` messages stand.
    public static func position(ofLast count: Int, epochs: [EpochSpan], head: Position) -> Position {
        guard count > 0, head.seq > UInt64(count) else { return count > 0 ? .zero : head }
        let seq = head.seq - UInt64(count)
        guard let span = epochs.last(where: { $0.first <= seq }) else { return .zero }
        return Position(epoch: span.epoch, seq: min(seq, span.last ?? seq))
    }
}
