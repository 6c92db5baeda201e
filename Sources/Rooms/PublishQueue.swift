import DequeModule
import MeshCore

/// The edge's half: the durable publishes of one session to one room that have no outcome yet, in sending order. After anything that
/// may have lost one (a link, a root that moved, silence) all are sent again from the first, with the same keys.
public struct PublishQueue<Publish: Sendable>: Sendable {
    public struct Pending: Sendable {
        public let number: UInt64
        public let publish: Publish
        public let deadline: Instant
        public internal(set) var sentAt: Instant
    }

    private var pending: Deque<Pending> = []
    private var nextNumber: UInt64
    /// Something was refused in a way that a repeat may mend.
    public private(set) var isRefused = false

    /// - Parameter number: above every number that this session has used for the room before.
    public init(startingAt number: UInt64) { nextNumber = number }

    public var isEmpty: Bool { pending.isEmpty }
    public var count: Int { pending.count }
    /// The lowest number that has no outcome: what the root may take as the start after it lost count.
    public var base: UInt64 { pending.first?.number ?? nextNumber }

    /// With the base as it is then.
    public mutating func add(_ publish: Publish, now: Instant, deadline: Instant) -> (entry: Pending, base: UInt64) {
        let entry = Pending(number: nextNumber, publish: publish, deadline: deadline, sentAt: now)
        nextNumber += 1
        pending.append(entry)
        return (entry, base)
    }

    /// The outcome is known. Nil for one that was given up or answered before.
    public mutating func settle(_ number: UInt64) -> Publish? {
        guard let index = pending.firstIndex(where: { $0.number == number }) else { return nil }
        return pending.remove(at: index).publish
    }

    public func pending(_ number: UInt64) -> Publish? { pending.first { $0.number == number }?.publish }

    public mutating func markRefused() { isRefused = true }

    /// Everything without an outcome, to be sent again now.
    public mutating func resend(now: Instant) -> [Pending] {
        isRefused = false
        for index in pending.indices { pending[index].sentAt = now }
        return Array(pending)
    }

    /// Whether the first one has waited for longer than `after` since it was last sent.
    public func isOverdue(now: Instant, after: TimeSpan) -> Bool {
        pending.first.map { now - $0.sentAt >= after } ?? false
    }

    /// Those past their deadline, in order; their outcome stays unknown.
    public mutating func expire(now: Instant) -> [Publish] {
        var expired: [Publish] = []
        while let first = pending.first, now >= first.deadline {
            expired.append(first.publish)
            pending.removeFirst()
        }
        return expired
    }
}
