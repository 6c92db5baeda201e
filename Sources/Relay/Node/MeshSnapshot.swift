import Membership
import MeshConfiguration
import MeshCore
import Operations
import Transport
import View

/// What one node knows of the others at one moment, for the operations pages.
struct MeshSnapshot {
    private var peers: [NodeID: PeerFigures] = [:]
    private var links: [NodeID: LinkFigures] = [:]
    private var boots: [NodeID: Boot] = [:]
    private var silentFor: [NodeID: TimeSpan] = [:]
    private var topology: Topology?
    private var ownSessions = 0
    private var ownRooms = 0
    private var own: NodeBoot?

    init(_ running: RunningNode?) async {
        guard let running else { return }
        own = running.context.owner
        for report in await running.reports() {
            ownSessions += report.sessions
            ownRooms += report.rooms
        }
        let now = Clock.now()
        let known = await running.ask { driver in
            (
                driver.peers, driver.linkedNodes.mapValues { ($0.figures, $0.peer.boot) }, driver.lastHeard.mapValues { now - $0 },
                driver.topology
            )
        }
        guard let known else { return }
        peers = known.0
        links = known.1.mapValues(\.0)
        boots = known.1.mapValues(\.1)
        silentFor = known.2
        topology = known.3
    }

    func node(_ seed: SeedNode, _ configuration: NodeConfiguration) -> NodesReport.Node {
        let node = seed.node
        let isOwn = node == configuration.node
        return NodesReport.Node(
            node: node.name, region: node.region.name, boot: isOwn ? own?.boot : boots[node], state: state(of: node, isOwn: isOwn),
            sessions: isOwn ? ownSessions : peers[node]?.sessions ?? 0, rooms: isOwn ? ownRooms : peers[node]?.rooms ?? 0,
            gateway: topology?.gateways(of: node.region).contains(node) ?? false, rttMs: rttMs(node),
            queuedBytes: links[node]?.queuedBytes ?? 0, url: seed.addresses.clientURL)
    }

    /// A node without a link is suspected while its region's roster still lists it.
    private func state(of node: NodeID, isOwn: Bool) -> NodeState {
        if isOwn { return .up }
        guard links[node] != nil else { return topology?.isLive(node) == true ? .suspect : .down }
        return peers[node]?.draining == true ? .draining : .up
    }

    func region(_ region: RegionID, _ configuration: NodeConfiguration, _ shards: [RegionID: Int]) -> RegionsReport.Region {
        let seeds = configuration.mesh.regions.first { $0.region == region }?.nodes ?? []
        let nodes = seeds.map { node($0, configuration) }
        let up = nodes.filter { $0.state == .up || $0.state == .draining }
        let heard = region == configuration.node.region ? TimeSpan.zero : seeds.compactMap { silentFor[$0.node] }.min()
        return RegionsReport.Region(
            region: region.name, state: state(of: nodes), nodes: up.count, sessions: nodes.reduce(0) { $0 + $1.sessions },
            rttMs: region == configuration.node.region ? 0 : seeds.compactMap { rttMs($0.node) }.min(), shardsHomed: shards[region] ?? 0,
            lastSeenMs: heard?.milliseconds)
    }

    private func state(of nodes: [NodesReport.Node]) -> RegionState {
        if nodes.contains(where: { $0.state == .up }) { return .up }
        if nodes.contains(where: { $0.state == .draining }) { return .draining }
        let age = nodes.compactMap { NodeID(region: RegionID($0.region), name: $0.node) }.compactMap { silentFor[$0] }.min()
        return age.map { $0 < .seconds(5) } ?? false ? .suspect : .down
    }

    private func rttMs(_ node: NodeID) -> Double? {
        links[node]?.roundTrip.smoothed.map { Double($0.nanoseconds) / 1_000_000 }
    }
}
