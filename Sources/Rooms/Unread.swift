import MeshCore

/// How many messages a user has not read: counted when it is asked for, never stored.
public enum Unread {
    /// The first message that may be unread; nil if none is.
    ///
    /// - Parameters:
    ///   - head: the last message of the room.
    ///   - read: up to where the user has read, `.zero` for nothing.
    ///   - oldest: the oldest message that is kept, nil if none is.
    public static func first(head: Position, read: Position, oldest: Position?) -> Position? {
        guard let oldest, head > read, oldest <= head else { return nil }
        return max(oldest, read.successor)
    }

    /// Whether counting needs the epochs of the log.
    public static func needsEpochs(from first: Position, to head: Position) -> Bool { first.epoch < head.epoch }

    /// How many positions from `first` to `head`, both included, were handed out. An epoch may have begun below a position that was read:
    /// a log that lost its tail hands the lost numbers out again.
    ///
    /// - Parameter epochs: of the log, oldest first; looked at if `needsEpochs`. What was in epochs that are forgotten is not counted.
    public static func count(from first: Position, to head: Position, epochs: [EpochSpan]) -> UInt64 {
        guard needsEpochs(from: first, to: head) else { return count(first.seq, head.seq) }
        return epochs.lazy.filter { $0.epoch >= first.epoch && $0.epoch <= head.epoch }.reduce(0) { sum, span in
            let lower = span.epoch == first.epoch ? max(span.first, first.seq) : span.first
            let upper = span.epoch == head.epoch ? head.seq : span.last ?? 0
            return sum + count(lower, upper)
        }
    }

    private static func count(_ first: UInt64, _ last: UInt64) -> UInt64 { last >= first ? last - first + 1 : 0 }
}
