import MeshCore

/// Who is typing in a room. The root owns the table and ends what was not repeated within the TTL (promise P8); each cell keeps a copy
/// with a longer TTL, so that typing ends even if the root's word never comes.
public struct TypingTable: Sendable {
    public struct Change: Hashable, Sendable {
        public var user: String
        public var active: Bool
        public init(user: String, active: Bool) {
            self.user = user
            self.active = active
        }
    }

    /// At the bound a new typist is not shown: typing is the first thing dropped under load.
    public static let usersMax = 500

    private var expiry: [String: Instant] = [:]

    public init() {}

    public var isEmpty: Bool { expiry.isEmpty }
    public var users: [String] { expiry.keys.sorted() }

    /// Whether `user` would not be shown for lack of room.
    public func isOverBudget(_ user: String) -> Bool { expiry.count >= Self.usersMax && expiry[user] == nil }

    /// The change to tell, or nil: a repeat only moves the expiry.
    public mutating func set(_ user: String, active: Bool, now: Instant, ttl: TimeSpan) -> Change? {
        guard active else { return stop(user) }
        guard !isOverBudget(user) else { return nil }
        let isNew = expiry[user] == nil
        expiry[user] = now + ttl
        return isNew ? Change(user: user, active: true) : nil
    }

    public mutating func stop(_ user: String) -> Change? {
        expiry.removeValue(forKey: user).map { _ in Change(user: user, active: false) }
    }

    public mutating func expire(now: Instant) -> [Change] {
        let ended = expiry.filter { $0.value <= now }.keys.sorted()
        return ended.compactMap { stop($0) }
    }

    /// Takes the root's list over at a join and returns what it changes.
    public mutating func reset(to users: [String], now: Instant, ttl: TimeSpan) -> [Change] {
        let fresh = Set(users)
        let ended = expiry.keys.filter { !fresh.contains($0) }.sorted().compactMap { stop($0) }
        return ended + users.compactMap { set($0, active: true, now: now, ttl: ttl) }
    }
}
