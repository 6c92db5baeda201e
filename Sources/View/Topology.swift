import MeshCore

/// What one node knows of the shape of the mesh: the view and the roster of each region. Everything that says who does what for
/// a room is computed from it, by the same pure rules on every node.
public struct Topology: Sendable {
    public var view: MeshView
    public private(set) var rosters: [RegionID: Roster]

    public init(view: MeshView, rosters: [RegionID: Roster] = [:]) {
        self.view = view
        self.rosters = rosters
    }

    /// Takes a roster over if it is newer than the one known. True if it was.
    public mutating func learn(_ roster: Roster) -> Bool {
        if let known = rosters[roster.region], known.version >= roster.version { return false }
        rosters[roster.region] = roster
        return true
    }

    public func gateways(of region: RegionID) -> [NodeID] { rosters[region]?.gateways ?? [] }

    public func isLive(_ node: NodeID) -> Bool { rosters[node.region]?.nodes.contains(node) ?? false }

    /// What every append of a room rooted in `region` must match.
    public func fence(for region: RegionID) -> Fence {
        Fence(viewEpoch: view.epoch, rosterVersion: rosters[region]?.version ?? 0)
    }

    /// The node that hosts a room: rendezvous hash over the roster of its home region.
    public func root(of room: String) -> NodeID? {
        guard let home = view.homes(of: room).home else { return nil }
        return rendezvous(room, among: rosters[home]?.nodes ?? [])
    }

    /// The gateway of `region` through which a room's copy for that region travels: its region hub there, and in the home region
    /// the room's way in from outside.
    public func gateway(of region: RegionID, for room: String) -> NodeID? {
        rendezvous(room, among: gateways(of: region))
    }

    public enum Parent: Hashable, Sendable {
        /// This node is the root.
        case none
        case node(NodeID)
        /// Not computable yet: no roster of a region on the way is known, or it is empty.
        case unknown
    }

    /// The level above `node` in the tree of a room: the root inside the home region; elsewhere the region hub, and above the region
    /// hub the room's gateway in the home region.
    public func parent(of node: NodeID, for room: String) -> Parent {
        guard let root = root(of: room) else { return .unknown }
        if root == node { return .none }
        if root.region == node.region { return .node(root) }
        guard let hub = gateway(of: node.region, for: room) else { return .unknown }
        guard hub == node else { return .node(hub) }
        return gateway(of: root.region, for: room).map { .node($0) } ?? .unknown
    }

    /// The neighbour through which `node` reaches `destination`: itself within a region or between gateways, else a gateway.
    public func nextHop(from node: NodeID, to destination: NodeID) -> NodeID? {
        if node.region == destination.region { return destination }
        let near = gateways(of: node.region)
        guard near.contains(node) else { return rendezvous(destination.description, among: near) }
        let far = gateways(of: destination.region)
        return far.contains(destination) ? destination : rendezvous(destination.description, among: far)
    }

    /// The nodes that `node` keeps links to: all of its region, and gateways to gateways. A region whose roster is not known yet
    /// counts with all of `seeds`, else nobody could ever tell it.
    public func neighbours(of node: NodeID, seeds: [RegionID: [NodeID]]) -> Set<NodeID> {
        var result = Set(seeds[node.region] ?? [])
        if isGateway(node, seeds: seeds) {
            for (region, nodes) in seeds where region != node.region {
                let known = gateways(of: region)
                result.formUnion(known.isEmpty || nodes.count <= Roster.gatewaysMax ? nodes : known)
            }
        }
        result.remove(node)
        return result
    }

    /// Small regions link all their seeds, also those that are down now: they are gateways as soon as they come back.
    public func isGateway(_ node: NodeID, seeds: [RegionID: [NodeID]]) -> Bool {
        if (seeds[node.region] ?? []).count <= Roster.gatewaysMax { return true }
        let known = gateways(of: node.region)
        return known.isEmpty || known.contains(node)
    }

    private func rendezvous(_ key: String, among nodes: [NodeID]) -> NodeID? {
        Rendezvous.choose(stableHash(key), among: nodes)
    }
}
