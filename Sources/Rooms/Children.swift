/// The children of one level of a room, each with its join. A child is served before it is live: its join is answered with the state
/// of the room, and everything after that answer is sent to it.
public struct Children<Child: Hashable & Sendable>: Sendable {
    public struct State: Hashable, Sendable {
        public var generation: UInt64
        public var interest: Interest
        /// Whether the join was answered.
        public var isLive: Bool
        /// The interest and generation under which the child is still served while a newer join waits for its answer.
        public var served: Served?
    }

    public struct Served: Hashable, Sendable {
        public var generation: UInt64
        public var interest: Interest
    }

    private var states: [Child: State] = [:]

    public init() {}

    public var isEmpty: Bool { states.isEmpty }
    public var count: Int { states.count }
    public var interest: Interest { states.values.reduce(into: []) { $0.formUnion($1.interest) } }

    /// A join, or a change of interest by a newer join. A generation that is not newer is stale and false.
    public mutating func join(_ child: Child, generation: UInt64, interest: Interest) -> Bool {
        let old = states[child]
        guard old.map({ generation > $0.generation }) ?? true else { return false }
        let served = old.flatMap { $0.isLive ? Served(generation: $0.generation, interest: $0.interest) : $0.served }
        states[child] = State(generation: generation, interest: interest, isLive: false, served: served)
        return true
    }

    /// True if the child was there under this generation.
    public mutating func leave(_ child: Child, generation: UInt64) -> Bool {
        guard states[child]?.generation == generation else { return false }
        states[child] = nil
        return true
    }

    /// Its link is gone. True if it was there.
    public mutating func lost(_ child: Child) -> Bool { states.removeValue(forKey: child) != nil }

    /// The joins that wait for their answer.
    public var unanswered: [(child: Child, generation: UInt64, interest: Interest)] {
        states.compactMap { child, state in state.isLive ? nil : (child, state.generation, state.interest) }
    }

    public var hasUnanswered: Bool { states.contains { !$0.value.isLive } }

    /// The join of this generation is being answered: the child is live from here on. False if it is not the one that waits.
    public mutating func answered(_ child: Child, generation: UInt64) -> Bool {
        guard let state = states[child], state.generation == generation, !state.isLive else { return false }
        states[child]?.isLive = true
        states[child]?.served = nil
        return true
    }

    /// Calls `body` for each child that is served with `bit`, with the generation that its frames carry.
    public func forEach(wanting bit: Interest, _ body: (Child, UInt64) -> Void) {
        for (child, state) in states {
            if state.isLive {
                if state.interest.contains(bit) { body(child, state.generation) }
            } else if let served = state.served, served.interest.contains(bit) {
                body(child, served.generation)
            }
        }
    }

    public func contains(_ child: Child) -> Bool { states[child] != nil }
    public var all: [Child] { Array(states.keys) }
    public func interest(of child: Child) -> Interest? { states[child]?.interest }
}
