/// How much of a room's log is kept. Whichever bound is reached first counts; the oldest messages go.
public struct RetentionLimits: Hashable, Sendable {
    /// At least 1.
    public var messages: Int
    /// Nil: messages do not grow too old.
    public var age: TimeSpan?
    /// Of the encoded messages. The newest one stays even if it is larger.
    public var bytes: Int

    public init(messages: Int = 10_000, age: TimeSpan? = nil, bytes: Int = 64 << 20) {
        self.messages = messages
        self.age = age
        self.bytes = bytes
    }
}

/// What a mesh says of how long rooms keep their messages: by the room's name, by its placement, and for all others.
///
/// Each of the three bounds is looked up for itself: the first pattern that matches the room says it, else the placement, else the
/// default. So a rule for some rooms need not repeat what holds for all.
public struct RetentionRules: Hashable, Sendable {
    /// What one rule says; nil is left to the rules behind it.
    public struct Rule: Hashable, Sendable {
        public enum Age: Hashable, Sendable {
            case unlimited
            case most(TimeSpan)
        }

        public var messages: Int?
        public var age: Age?
        public var bytes: Int?

        public init(messages: Int? = nil, age: Age? = nil, bytes: Int? = nil) {
            self.messages = messages
            self.age = age
            self.bytes = bytes
        }

        func apply(to limits: inout RetentionLimits) {
            if let messages { limits.messages = messages }
            if let bytes { limits.bytes = bytes }
            switch age {
            case .unlimited: limits.age = nil
            case .most(let span): limits.age = span
            case nil: break
            }
        }
    }

    public struct RoomRule: Hashable, Sendable {
        public var match: RoomPattern
        public var rule: Rule

        public init(match: RoomPattern, rule: Rule) {
            self.match = match
            self.rule = rule
        }
    }

    public var standard: Rule
    public var placements: [String: Rule]
    /// The first one that matches counts, and no other.
    public var rooms: [RoomRule]

    public init(standard: Rule = .init(), placements: [String: Rule] = [:], rooms: [RoomRule] = []) {
        self.standard = standard
        self.placements = placements
        self.rooms = rooms
    }

    /// - Parameter placement: the one that the room lives in.
    public func limits(for room: String, in placement: String) -> RetentionLimits {
        var limits = RetentionLimits()
        standard.apply(to: &limits)
        placements[placement]?.apply(to: &limits)
        rooms.first { $0.match.matches(room) }?.rule.apply(to: &limits)
        return limits
    }
}
