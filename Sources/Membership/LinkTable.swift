import MeshCore

/// Tells the connections of one process apart. Never used twice, so an answer that comes late finds nothing.
public typealias LinkNumber = UInt64

/// Who may be linked, who is, and the newest boot heard of each. Bounded by the number of peers.
public struct LinkTable: Sendable {
    public enum Admission: Hashable, Sendable {
        /// The link is up. One that was up to the same node must be reported down first.
        case admitted(replacing: LinkNumber?)
        case refused(LinkRefusal)
    }

    private struct Entry {
        var newestBoot: Boot = 0
        var link: LinkNumber?
    }

    private var entries: [NodeID: Entry] = [:]

    public init() {}

    public var peers: some Collection<NodeID> { entries.keys }

    /// Replaces the list of peers and answers the links of those that are no longer on it.
    public mutating func setPeers(_ peers: some Sequence<NodeID>) -> [LinkNumber] {
        let wanted = Set(peers)
        let removed = entries.filter { !wanted.contains($0.key) }
        for node in removed.keys { entries[node] = nil }
        for node in wanted where entries[node] == nil { entries[node] = Entry() }
        return removed.values.compactMap(\.link).sorted()
    }

    /// A hello that the handshake found in order. The same boot again means that the peer has given up the link that is
    /// still held here: only one side has noticed that it is dead.
    public mutating func admit(_ peer: NodeBoot, as link: LinkNumber) -> Admission {
        guard var entry = entries[peer.node] else { return .refused(.unknownNode(peer.node)) }
        guard peer.boot >= entry.newestBoot else { return .refused(.olderBoot(peer.boot, newest: entry.newestBoot)) }
        let replaced = entry.link
        entry.newestBoot = peer.boot
        entry.link = link
        entries[peer.node] = entry
        return .admitted(replacing: replaced)
    }

    /// The link is gone. Does nothing when it was replaced before.
    public mutating func ended(_ link: LinkNumber, to node: NodeID) {
        guard entries[node]?.link == link else { return }
        entries[node]?.link = nil
    }
}
