import MeshCore
import Testing
import View

private let names = ["eu", "us", "ap"].map(RegionID.init)

private func nodes(_ region: RegionID, _ count: Int) -> [NodeID] { (0..<count).map { NodeID(region: region, name: "\(region)-\($0)") } }

private func view(_ states: [RegionID: MeshView.RegionState] = [:]) -> MeshView {
    MeshView(epoch: 1, regions: names.map { .init(region: $0, state: states[$0] ?? .active) }, placements: ["default": names])
}

/// A mesh with regions of 1 to 8 nodes, some of them down.
private struct RandomMesh {
    var seeds: [RegionID: [NodeID]] = [:]
    var topology: Topology
    var rooms: [String]

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var rosters: [RegionID: Roster] = [:]
        for region in names {
            let all = nodes(region, Int.random(in: 1...8, using: &random))
            var live = all.filter { _ in Int.random(in: 0..<5, using: &random) > 0 }
            if live.isEmpty { live = [all[0]] }
            seeds[region] = all
            rosters[region] = Roster(region: region, version: UInt64.random(in: 1...9, using: &random), nodes: live)
        }
        topology = Topology(view: view(), rosters: rosters)
        rooms = (0..<20).map { "room-\($0)-\(seed)" }
    }

    var live: [NodeID] { topology.rosters.values.flatMap(\.nodes).sorted() }
    /// Also those that start now and are in no roster yet.
    var all: [NodeID] { seeds.values.flatMap { $0 }.sorted() }
}

@Suite("The topology") struct TopologyTests {
    @Test("every node reaches the root over parents that it has links to", arguments: 0..<60 as Range<UInt64>)
    func parents(_ seed: UInt64) throws {
        let mesh = RandomMesh(seed: seed)
        for room in mesh.rooms {
            let root = try #require(mesh.topology.root(of: room))
            for start in mesh.all {
                var node = start
                var path = [start]
                while case .node(let parent) = mesh.topology.parent(of: node, for: room) {
                    #expect(mesh.topology.neighbours(of: node, seeds: mesh.seeds).contains(parent), "seed \(seed): \(node) to \(parent)")
                    #expect(mesh.topology.neighbours(of: parent, seeds: mesh.seeds).contains(node), "seed \(seed): \(parent) to \(node)")
                    node = parent
                    path.append(node)
                    try #require(path.count <= 5, "seed \(seed): \(path)")
                }
                #expect(node == root, "seed \(seed): \(path)")
                #expect(Set(path).count == path.count, "seed \(seed): \(path)")
            }
        }
    }

    @Test("one copy per region enters from outside", arguments: 0..<20 as Range<UInt64>)
    func oneCopy(_ seed: UInt64) throws {
        let mesh = RandomMesh(seed: seed)
        for room in mesh.rooms {
            let root = try #require(mesh.topology.root(of: room))
            for region in names where region != root.region {
                let entries = Set(
                    (mesh.topology.rosters[region]?.nodes ?? []).compactMap { node -> NodeID? in
                        guard case .node(let parent) = mesh.topology.parent(of: node, for: room), parent.region != region else {
                            return nil
                        }
                        return node
                    })
                #expect(entries.count == 1, "seed \(seed)")
                #expect(entries.first == mesh.topology.gateway(of: region, for: room))
            }
        }
    }

    @Test("every node reaches every other over next hops that it has links to", arguments: 0..<60 as Range<UInt64>)
    func hops(_ seed: UInt64) throws {
        let mesh = RandomMesh(seed: seed)
        for start in mesh.live {
            for destination in mesh.live where destination != start {
                var node = start
                var hops = 0
                while node != destination {
                    let next = try #require(mesh.topology.nextHop(from: node, to: destination))
                    #expect(mesh.topology.neighbours(of: node, seeds: mesh.seeds).contains(next), "seed \(seed): \(node) to \(next)")
                    node = next
                    hops += 1
                    try #require(hops <= 3, "seed \(seed): \(start) to \(destination)")
                }
            }
        }
    }

    @Test("the root is in the roster of the home region, and spreads over it") func roots() {
        var topology = Topology(view: view())
        #expect(topology.root(of: "lobby") == nil)
        for region in names { _ = topology.learn(Roster(region: region, version: 1, nodes: nodes(region, 4))) }
        var counts: [NodeID: Int] = [:]
        for room in (0..<3000).map({ "room-\($0)" }) {
            let root = topology.root(of: room)
            #expect(root.map(topology.isLive) == true)
            #expect(root?.region == topology.view.homes(of: room).home)
            if let root { counts[root, default: 0] += 1 }
        }
        #expect(counts.count == 12 && counts.values.allSatisfy { $0 > 150 })
    }

    @Test("only a newer roster is taken over, and it is the fence") func learn() {
        var topology = Topology(view: view())
        let old = Roster(region: names[0], version: 2, nodes: nodes(names[0], 1))
        #expect(topology.fence(for: names[0]) == Fence(viewEpoch: 1, rosterVersion: 0))
        #expect(topology.learn(old) == true)
        #expect(topology.learn(Roster(region: names[0], version: 2, nodes: nodes(names[0], 3))) == false)
        #expect(topology.learn(Roster(region: names[0], version: 1, nodes: nodes(names[0], 3))) == false)
        #expect(topology.rosters[names[0]] == old)
        #expect(topology.learn(Roster(region: names[0], version: 3, nodes: nodes(names[0], 3))) == true)
        #expect(topology.fence(for: names[0]) == Fence(viewEpoch: 1, rosterVersion: 3))
        #expect(topology.rosters[names[1]] == nil)
    }

    @Test("what cannot be computed yet is unknown") func unknown() throws {
        var topology = Topology(view: view())
        let node = nodes(names[0], 1)[0]
        let room = try #require((0..<100).map { "room-\($0)" }.first { topology.view.homes(of: $0).home == names[1] })
        #expect(topology.parent(of: node, for: room) == .unknown)
        _ = topology.learn(Roster(region: names[1], version: 1, nodes: nodes(names[1], 2)))
        #expect(topology.parent(of: node, for: room) == .unknown, "no region hub is known")
        _ = topology.learn(Roster(region: names[0], version: 1, nodes: [node]))
        #expect(topology.parent(of: node, for: room) != .unknown)
        _ = topology.learn(Roster(region: names[1], version: 2, nodes: []))
        #expect(topology.parent(of: node, for: room) == .unknown, "nobody is left there")
        #expect(topology.nextHop(from: node, to: nodes(names[2], 1)[0]) == nil)
    }

    @Test("a region nobody knows is linked by all its seeds, by all gateways") func firstContact() {
        let seeds = Dictionary(uniqueKeysWithValues: names.map { ($0, nodes($0, 6)) })
        let empty = Topology(view: view())
        let node = nodes(names[0], 1)[0]
        #expect(empty.neighbours(of: node, seeds: seeds).count == 17)
        var knowing = empty
        let roster = Roster(region: names[0], version: 1, nodes: nodes(names[0], 6))
        _ = knowing.learn(roster)
        for node in roster.nodes {
            let isGateway = roster.gateways.contains(node)
            #expect(knowing.neighbours(of: node, seeds: seeds).count == (isGateway ? 17 : 5))
            #expect(knowing.isGateway(node, seeds: seeds) == isGateway)
        }
    }

    @Test("nodes that are down stay neighbours in a small region, and nobody is its own") func downNodes() {
        let seeds = Dictionary(uniqueKeysWithValues: names.map { ($0, nodes($0, 2)) })
        var topology = Topology(view: view())
        for region in names { _ = topology.learn(Roster(region: region, version: 1, nodes: nodes(region, 1))) }
        for node in seeds.values.joined() {
            #expect(topology.neighbours(of: node, seeds: seeds) == Set(seeds.values.joined()).subtracting([node]))
        }
    }
}
