import FaultProxy
import MeshCore

/// What tests and drills do to the links of a mesh that was started with `linkProxies`. Clients and stores are not touched.
extension LocalMesh {
    /// Hurts the links between two nodes until they are healed.
    ///
    /// - Parameter direction: `there` is what `a` sends to `b`.
    public func cut(_ a: NodeID, _ b: NodeID, direction: LinkDirection = .both, by fault: LinkFault = .silence) async throws {
        try check([a, b])
        try await linkProxies().apply(fault, a, b, direction)
    }

    /// The same for every node of one region and every node of another.
    public func cut(_ a: RegionID, _ b: RegionID, direction: LinkDirection = .both, by fault: LinkFault = .silence) async throws {
        for one in try nodes(of: a) {
            for other in try nodes(of: b) { try await cut(one, other, direction: direction, by: fault) }
        }
    }

    /// Cuts a region off from all others. Within it, and to its store, all goes on.
    public func isolate(_ region: RegionID, direction: LinkDirection = .both, by fault: LinkFault = .silence) async throws {
        for other in plan.regions.map(\.region) where other != region { try await cut(region, other, direction: direction, by: fault) }
    }

    /// Ends the faults between two nodes.
    public func heal(_ a: NodeID, _ b: NodeID) async throws {
        try check([a, b])
        try await linkProxies().heal(a, b)
    }

    /// Ends the faults of all links.
    public func healLinks() async throws {
        let nodes = plan.regions.flatMap(\.nodes).map(\.node)
        for a in nodes {
            for b in nodes where a < b { try await linkProxies().heal(a, b) }
        }
    }

    private func linkProxies() throws(LocalMeshError) -> LinkProxies {
        guard let proxies else { throw .usage("the mesh was started without linkProxies") }
        return proxies
    }

    private func check(_ nodes: [NodeID]) throws(LocalMeshError) {
        for node in nodes where plan.node(node) == nil { throw .unknown("\(node)") }
    }

    private func nodes(of region: RegionID) throws(LocalMeshError) -> [NodeID] {
        guard let planned = plan.region(region) else { throw .unknown("\(region)") }
        return planned.nodes.map(\.node)
    }
}
