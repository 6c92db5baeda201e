/// Where a durable message stands in its room. Compared by epoch first: seq goes on across epochs, but a new
/// epoch says that the log was opened anew, so positions of two epochs are never mixed up.
public struct Position: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var epoch: UInt64
    public var seq: UInt64

    public init(epoch: UInt64, seq: UInt64) {
        self.epoch = epoch
        self.seq = seq
    }

    /// Before the first message of any room; as a resume position, "the oldest kept".
    public static let zero = Position(epoch: 0, seq: 0)

    /// `epoch-seq`, which is also the id of the message in the room's Redis stream.
    public var description: String { "\(epoch)-\(seq)" }

    public init?(_ text: some StringProtocol) {
        guard let dash = text.firstIndex(of: "-"), let epoch = UInt64(text[..<dash]),
            let seq = UInt64(text[text.index(after: dash)...])
        else { return nil }
        self.init(epoch: epoch, seq: seq)
    }

    public static func < (a: Position, b: Position) -> Bool {
        a.epoch == b.epoch ? a.seq < b.seq : a.epoch < b.epoch
    }

    /// The next position of the same epoch.
    public var successor: Position { Position(epoch: epoch, seq: seq == .max ? .max : seq + 1) }
    /// The place right before it in the same epoch, whether or not a message stands there.
    public var predecessor: Position { Position(epoch: epoch, seq: seq == 0 ? 0 : seq - 1) }

    /// Whether a message of a log whose last one is `head` may stand here: seq goes on across epochs, so none has a higher one.
    public func mayExist(upTo head: Position) -> Bool { self <= head && seq <= head.seq }

    /// Whether `next` follows this position with nothing missing in between: seq goes on, within an epoch and into a newer one. A newer
    /// epoch may also begin at 1, in a log that was opened by somebody who knew no head. What stands at its beginning (`zero`) knows
    /// nothing and is followed by anything.
    public func isFollowed(by next: Position) -> Bool {
        guard self != .zero else { return next > self }
        if next.epoch > epoch, next.seq <= 1 { return true }
        return next.epoch >= epoch && next.seq > seq && next.seq - seq == 1
    }
}

/// What an append must match: the view and the roster under which its root computed that it is the root.
/// Compared in that order; a log opened under a higher fence refuses a lower one.
public struct Fence: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var viewEpoch: UInt64
    public var rosterVersion: UInt64

    public init(viewEpoch: UInt64, rosterVersion: UInt64) {
        self.viewEpoch = viewEpoch
        self.rosterVersion = rosterVersion
    }

    public var description: String { "\(viewEpoch).\(rosterVersion)" }

    public static func < (a: Fence, b: Fence) -> Bool {
        a.viewEpoch == b.viewEpoch ? a.rosterVersion < b.rosterVersion : a.viewEpoch < b.viewEpoch
    }
}
