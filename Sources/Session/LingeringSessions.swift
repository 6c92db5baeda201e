import MeshCore

/// Sessions of a cell that have ended and whose presence is still shown: within the grace period they may come back, here or on another
/// node, and nobody is to see them leave and join (promise P7).
///
/// Also remembers for a while who has taken a session over, so that a takeover that comes by an older name finds its way along the chain.
/// Both tables are bounded: at the bound the oldest entry goes at once.
public struct LingeringSessions<Heir: Hashable & Sendable>: Sendable {
    public struct Session: Hashable, Sendable {
        /// Its number on this node.
        public var number: UInt64
        public var identity: UInt64
        public var user: String
        /// Where it is shown.
        public var rooms: [String]

        public init(number: UInt64, identity: UInt64, user: String, rooms: [String]) {
            self.number = number
            self.identity = identity
            self.user = user
            self.rooms = rooms
        }
    }

    private struct Lingering: Sendable {
        var session: Session
        var until: Instant
    }

    private struct Succession: Sendable {
        var identity: UInt64
        var heir: Heir
        var taken: UInt64
        var until: Instant
    }

    /// How long it is remembered who has taken a session over.
    private static var successionKept: TimeSpan { .seconds(60) }

    private let most: Int
    private var lingering: [UInt64: Lingering] = [:]
    private var successions: [UInt64: Succession] = [:]

    public init(most: Int) { self.most = max(1, most) }

    public var isEmpty: Bool { lingering.isEmpty && successions.isEmpty }
    /// Sessions that are still shown.
    public var count: Int { lingering.count }

    /// Adds a session that has ended.
    ///
    /// - Returns: the session that has to go at once because there is no room for both, or nil.
    public mutating func add(_ session: Session, until: Instant) -> Session? {
        var evicted: Session?
        if lingering.count >= most, lingering[session.number] == nil {
            let oldest = lingering.min { ($0.value.until, $0.key) < ($1.value.until, $1.key) }
            evicted = oldest.flatMap { lingering.removeValue(forKey: $0.key)?.session }
        }
        lingering[session.number] = Lingering(session: session, until: until)
        return evicted
    }

    public func identity(of number: UInt64) -> UInt64? { lingering[number]?.session.identity }

    /// It goes on elsewhere: it is shown no longer than `until`.
    public mutating func shorten(_ number: UInt64, until: Instant) {
        guard let entry = lingering[number] else { return }
        lingering[number]?.until = min(entry.until, until)
    }

    /// Takes out those of a user who was deleted.
    public mutating func end(_ user: String) -> [Session] {
        let hers = lingering.filter { $0.value.session.user == user }.keys.sorted()
        return hers.compactMap { lingering.removeValue(forKey: $0)?.session }
    }

    /// Takes out those whose time is over.
    public mutating func expire(now: Instant) -> [Session] {
        for (number, succession) in successions where succession.until <= now { successions[number] = nil }
        let over = lingering.filter { $0.value.until <= now }.keys.sorted()
        return over.compactMap { lingering.removeValue(forKey: $0)?.session }
    }

    // MARK: Who has taken over

    /// Remembers that the session `number` goes on as `heir`, and nowhere else.
    public mutating func remember(_ number: UInt64, identity: UInt64, heir: Heir, taken: UInt64, now: Instant) {
        if successions.count >= most, successions[number] == nil {
            let oldest = successions.min { ($0.value.until, $0.key) < ($1.value.until, $1.key) }
            if let oldest { successions[oldest.key] = nil }
        }
        successions[number] = Succession(identity: identity, heir: heir, taken: taken, until: now + Self.successionKept)
    }

    /// Who goes on with a session of this node, as far as it is remembered.
    public func heir(of number: UInt64, identity: UInt64) -> (taken: UInt64, heir: Heir)? {
        guard let succession = successions[number], succession.identity == identity else { return nil }
        return (succession.taken, succession.heir)
    }
}
