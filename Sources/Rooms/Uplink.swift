import MeshCore

/// How one level of a room's tree hangs on the level above it. The same machine serves a cell under its node hub, a node hub under
/// its region hub, and so on up to the root, whose uplink is `root` and always live.
///
/// Every join has a generation. Until its answer (`joined`) the level is not live for what the join newly asks; frames of a
/// generation that was given up are dropped. A join that changes interest at the same parent, or asks again, keeps the older ones
/// valid until its own answer: the link is FIFO, so nothing is missed in between.
///
/// Legal moves: cold → joining → live ⇄ joining (more interest, another parent); live → lingering → cold or live; anything → root
/// and back when the roster changes. A late answer is an allowed drop.
public struct Uplink<Parent: Hashable & Sendable>: Sendable {
    public enum Place: Hashable, Sendable {
        case root
        case under(Parent)
        /// No parent can be computed or reached now.
        case unknown
    }

    public enum Action: Hashable, Sendable {
        case join(Parent, generation: UInt64, interest: Interest)
        case leave(Parent, generation: UInt64)
    }

    private struct Join: Hashable, Sendable {
        var parent: Parent
        var generation: UInt64
        var interest: Interest
    }

    public private(set) var place: Place = .unknown
    private var wanted: Interest = []
    /// The join that was answered.
    private var live: Join?
    /// The joins at the same parent that wait for an answer, oldest first; the last one says what is wanted.
    private var asked: [Join] = []
    private var askedAt: Instant = .zero
    /// Older ones are forgotten: their answer would come too late to matter.
    private static var askedMax: Int { 8 }
    private var idleSince: Instant?

    public init() {}

    /// Whether what is asked for flows: at the root always, else after the parent's answer.
    public func covers(_ interest: Interest) -> Bool {
        if place == .root { return true }
        guard let live else { return false }
        return live.interest.isSuperset(of: interest)
    }

    /// Nothing is under way and nothing waits for a time to pass.
    public var isSettled: Bool { idleSince == nil && asked.isEmpty && (wanted.isEmpty || covers(wanted)) }
    public var isLive: Bool { place == .root || live != nil }
    public var parent: Parent? {
        if case .under(let parent) = place { parent } else { nil }
    }

    /// Whether a frame from `parent` of this generation is of a join that stands.
    public func accepts(_ generation: UInt64) -> Bool {
        live?.generation == generation || asked.contains { $0.generation == generation }
    }

    /// The sum of interest below changed. More interest joins anew at once; less waits for `lingered`, so that a reconnect does not
    /// tear down and build up the tree.
    public mutating func want(_ interest: Interest, now: Instant, nextGeneration: () -> UInt64) -> Action? {
        wanted = interest
        let held = (asked.last ?? live)?.interest ?? []
        if interest == held || (interest.isSubset(of: held) && !held.isEmpty) {
            idleSince = interest == held ? nil : (idleSince ?? now)
            return nil
        }
        idleSince = nil
        return join(now: now, nextGeneration: nextGeneration)
    }

    /// Call now and then: gives up what nobody below has wanted for `linger`, and asks again for what was not answered in `retry`.
    public mutating func tick(now: Instant, linger: TimeSpan, retry: TimeSpan, nextGeneration: () -> UInt64) -> Action? {
        if let since = idleSince, now - since >= linger {
            idleSince = nil
            guard !wanted.isEmpty else { return giveUp() }
            return join(now: now, nextGeneration: nextGeneration)
        }
        if !wanted.isEmpty, !asked.isEmpty || !covers(wanted), now - askedAt >= retry {
            return join(now: now, nextGeneration: nextGeneration)
        }
        return nil
    }

    /// The parent was computed anew, or the link to it came up again (`relinked`). Leaves the old one and joins the new one.
    public mutating func placed(_ newPlace: Place, relinked: Bool, now: Instant, nextGeneration: () -> UInt64) -> [Action] {
        guard newPlace != place || relinked else { return [] }
        var actions: [Action] = []
        if newPlace != place, let left = giveUp() { actions.append(left) }
        place = newPlace
        if relinked { unlink() }
        idleSince = nil
        if !wanted.isEmpty, let join = join(now: now, nextGeneration: nextGeneration) { actions.append(join) }
        return actions
    }

    /// The link to the parent is gone: nothing flows until `placed`.
    public mutating func unlink() {
        live = nil
        asked = []
    }

    /// The parent's answer. False if it answers a join that was given up.
    public mutating func joined(generation: UInt64) -> Bool {
        guard let index = asked.firstIndex(where: { $0.generation == generation }) else { return false }
        live = asked[index]
        asked.removeSubrange(...index)
        return true
    }

    /// The parent is not the one under the newest view and roster. Asked again on the next tick or change of place.
    public mutating func refused(generation: UInt64) {
        asked.removeAll { $0.generation <= generation }
        if live?.generation == generation { live = nil }
    }

    private mutating func join(now: Instant, nextGeneration: () -> UInt64) -> Action? {
        guard case .under(let parent) = place else { return nil }
        let join = Join(parent: parent, generation: nextGeneration(), interest: wanted)
        if asked.count == Self.askedMax { asked.removeFirst() }
        asked.append(join)
        askedAt = now
        return .join(parent, generation: join.generation, interest: join.interest)
    }

    private mutating func giveUp() -> Action? {
        guard let join = asked.last ?? live else { return nil }
        unlink()
        return .leave(join.parent, generation: join.generation)
    }
}
