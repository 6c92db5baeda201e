import MeshCore

/// When a level tells its children where the room stands: some time after a change, and once more, so that a child that lost the last message
/// of a conversation notices within two periods.
public struct HeadAnnouncer: Hashable, Sendable {
    public static let period = TimeSpan.milliseconds(400)
    private static let repeats = 2

    private var left = 0
    private var dueAt = Instant.zero

    public init() {}

    public var isQuiet: Bool { left == 0 }

    public mutating func changed(now: Instant) {
        // While messages flow the time stands, so that it comes.
        if left == 0 { dueAt = now + Self.period }
        left = Self.repeats
    }

    /// Whether to tell them now.
    public mutating func takeDue(now: Instant) -> Bool {
        guard left > 0, now >= dueAt else { return false }
        left -= 1
        dueAt = now + Self.period
        return true
    }
}
