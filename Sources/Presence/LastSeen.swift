import MeshCore

/// When the user of an inbox was last seen, as its root knows it. After her deletion her old sessions may still be found to have ended:
/// that says nothing of her any more.
public struct LastSeen: Hashable, Sendable {
    /// Milliseconds since 1970, 0 for never.
    public private(set) var time: WallMilliseconds = 0
    /// She was deleted, and has not come back.
    public private(set) var isForgotten = false
    /// Grows with each deletion: what was noted under an earlier number is not to be written.
    public private(set) var deletions: UInt64 = 0

    public init() {}

    /// The store has said what it remembers.
    public mutating func loaded(_ stored: WallMilliseconds) {
        if !isForgotten { time = max(time, stored) }
    }

    /// She has a session that nobody knew of.
    public mutating func joined() { isForgotten = false }

    /// Her last session has ended. True if that is to be written.
    public mutating func left(at now: WallMilliseconds) -> Bool {
        guard !isForgotten else { return false }
        time = max(time, now)
        return true
    }

    /// She was deleted, or is about to be.
    public mutating func forget() {
        time = 0
        isForgotten = true
        deletions += 1
    }
}
