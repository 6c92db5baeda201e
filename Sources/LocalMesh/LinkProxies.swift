import FaultProxy
import MeshCore

/// One proxy for each node and each peer of it: the links of a pair can be hurt without touching another pair's.
struct LinkProxies: Sendable {
    struct Path: Hashable, Sendable {
        var from: NodeID
        var to: NodeID
    }

    private let proxies: [Path: FaultProxy]

    static func start(_ plan: MeshPlan) async throws(LocalMeshError) -> LinkProxies {
        let nodes = plan.regions.flatMap(\.nodes)
        var proxies: [Path: FaultProxy] = [:]
        do {
            for from in nodes {
                for to in nodes where to.node != from.node {
                    proxies[Path(from: from.node, to: to.node)] = try await FaultProxy.start(towards: to.meshPort)
                }
            }
        } catch {
            for proxy in proxies.values { await proxy.close() }
            throw .machine("cannot start a proxy between nodes: \(error)")
        }
        return LinkProxies(proxies: proxies)
    }

    /// The plan as one node shall read it: itself where it listens, all others behind its proxies.
    func plan(_ plan: MeshPlan, seenFrom node: NodeID) -> MeshPlan {
        var plan = plan
        for i in plan.regions.indices {
            for j in plan.regions[i].nodes.indices {
                let peer = plan.regions[i].nodes[j]
                plan.regions[i].nodes[j].meshPort = proxies[Path(from: node, to: peer.node)]?.port ?? peer.meshPort
            }
        }
        return plan
    }

    /// To the links of a pair, whichever of them dials. `there` is from `a` to `b`.
    func apply(_ fault: LinkFault, _ a: NodeID, _ b: NodeID, _ direction: LinkDirection) async throws {
        try await proxies[Path(from: a, to: b)]?.apply(fault, to: direction)
        try await proxies[Path(from: b, to: a)]?.apply(fault, to: direction.reversed)
    }

    func heal(_ a: NodeID, _ b: NodeID) async throws {
        for path in [Path(from: a, to: b), Path(from: b, to: a)] { try await proxies[path]?.heal() }
    }

    func close() async {
        for proxy in proxies.values { await proxy.close() }
    }
}

extension LinkDirection {
    fileprivate var reversed: LinkDirection {
        switch self {
        case .there: .back
        case .back: .there
        case .both: .both
        }
    }
}
