import MeshCore

/// What this node wants the roster of its region to be: itself in it, and nobody who has been out of reach for too long. Whoever sees it
/// first changes it by compare-and-set; the others then agree.
public struct RosterKeeper: Sendable {
    private let node: NodeID
    private let downAfter: TimeSpan
    /// A node that was taken out waits before it comes back, so that two that cannot reach each other do not fight.
    private let returnAfter: TimeSpan
    private var lostAt: [NodeID: Instant] = [:]
    private var missingSince: Instant?
    private var isLeaving = false
    /// The roster that stood last; nil before this node was in one.
    private var known: Roster?

    public init(node: NodeID, downAfter: TimeSpan, returnAfter: TimeSpan) {
        self.node = node
        self.downAfter = downAfter
        self.returnAfter = returnAfter
    }

    public mutating func linked(_ mate: NodeID) { lostAt[mate] = nil }

    public mutating func unlinked(_ mate: NodeID, now: Instant) {
        if lostAt[mate] == nil { lostAt[mate] = now }
    }

    /// From here on the roster is wanted without this node.
    public mutating func leave() { isLeaving = true }

    /// The roster to propose instead of `stored`, or nil if that is right. If the store was wiped, the roster that stood last is proposed
    /// again, with a version above `highestSeen`, so that no room moves.
    public mutating func proposal(for stored: Roster?, highestSeen: UInt64, now: Instant) -> Roster? {
        let current = stored ?? known ?? Roster(region: node.region, version: 0, nodes: [])
        let gone = current.nodes.filter { mate in mate != node && lostAt[mate].map { now - $0 >= downAfter } ?? false }
        var nodes = current.nodes.filter { !gone.contains($0) }
        if isLeaving {
            nodes.removeAll { $0 == node }
        } else if !nodes.contains(node), mayReturn(now: now) {
            nodes.append(node)
        }
        let version = max(current.version, highestSeen)
        guard nodes.sorted() != current.nodes || (stored == nil && !nodes.isEmpty), version < .max else { return nil }
        return Roster(region: node.region, version: version + 1, nodes: nodes)
    }

    /// A node that starts comes in at once.
    private mutating func mayReturn(now: Instant) -> Bool {
        guard known != nil else { return true }
        let since = missingSince ?? now
        missingSince = since
        return now - since >= returnAfter
    }

    /// The roster that stands.
    public mutating func adopted(_ roster: Roster) {
        if roster.nodes.contains(node) { missingSince = nil }
        if known != nil || roster.nodes.contains(node) { known = roster }
    }
}
