import MeshCore
import Testing
import View

/// Nodes that say their marks to each other over links that are first in, first out.
private final class Mesh {
    var topology: Topology
    var nodes: [NodeID: AnnouncementRounds] = [:]
    var links: Set<Set<NodeID>> = []
    /// How many cells a node has.
    var cells = 1

    init(_ regions: [String: Int]) {
        let ids = regions.keys.sorted().map { RegionID($0) }
        topology = Topology(
            view: MeshView(epoch: 1, regions: ids.map { .init(region: $0, weight: 1) }, placements: [MeshView.defaultPlacement: ids]))
        for (region, count) in regions {
            let id = RegionID(region)
            let names = (0..<count).map { NodeID(region: id, name: "\(region)\($0)") }
            _ = topology.learn(Roster(region: id, version: 1, nodes: names))
            for name in names { nodes[name] = AnnouncementRounds(node: name) }
        }
    }

    subscript(_ name: String) -> NodeID { NodeID(region: RegionID(String(name.dropLast())), name: name) }

    func adopt(_ names: String...) { for name in names { nodes[self[name]]?.adopt(topology) } }
    func adoptAll() { for node in nodes.keys { nodes[node]?.adopt(topology) } }

    func link(_ a: String, _ b: String) {
        links.insert([self[a], self[b]])
        nodes[self[a]]?.linked(to: self[b])
        nodes[self[b]]?.linked(to: self[a])
    }

    func linkAll() {
        let all = nodes.keys.sorted()
        for a in all { for b in all where a < b { link(a.name, b.name) } }
    }

    /// One exchange: everybody says what is due. False if nobody had anything to say.
    func exchange(cellsHeard: Range<Int>? = nil) -> Bool {
        var said = false
        for node in nodes.keys.sorted() {
            for (round, receivers) in nodes[node]?.takeDue() ?? [] {
                said = true
                for receiver in receivers {
                    for cell in cellsHeard ?? 0..<cells {
                        let mark = AnnouncementRounds.Mark(
                            topology: AnnouncementRounds.fingerprint(of: topology), round: round, cell: cell, cells: cells)
                        nodes[receiver]?.heard(mark, from: node)
                    }
                }
            }
        }
        return said
    }

    func isSettled(_ name: String) -> Bool { nodes[self[name]]?.isSettled() ?? false }
    func areAllSettled() -> Bool { settledCount() == nodes.count }
    func isAnySettled() -> Bool { settledCount() > 0 }
    private func settledCount() -> Int {
        var count = 0
        for node in nodes.keys where nodes[node]?.isSettled() == true { count += 1 }
        return count
    }
}

@Suite("Who has announced everything") struct AnnouncementRoundsTests {
    @Test(
        "all are settled after the rounds, and not before",
        arguments: [["eu": 1, "us": 1], ["eu": 2, "us": 2, "ap": 1], ["eu": 6, "us": 5]])
    func settles(_ regions: [String: Int]) {
        let mesh = Mesh(regions)
        mesh.linkAll()
        mesh.adoptAll()
        #expect(!mesh.isAnySettled())
        var exchanges = 0
        while mesh.exchange(), exchanges < 10 { exchanges += 1 }
        #expect(mesh.areAllSettled() && exchanges <= 4)
    }

    @Test("a node that has not adopted the topology is waited for while it is linked") func waits() {
        let mesh = Mesh(["eu": 2, "us": 1])
        mesh.linkAll()
        mesh.adopt("eu0", "us0")
        while mesh.exchange() {}
        #expect(!mesh.isSettled("eu0") && !mesh.isSettled("us0"), "eu1 may have sessions that it has not announced")
        mesh.nodes[mesh["eu0"]]?.unlinked(from: mesh["eu1"])
        mesh.nodes[mesh["us0"]]?.unlinked(from: mesh["eu1"])
        while mesh.exchange() {}
        #expect(mesh.isSettled("eu0") && mesh.isSettled("us0"), "who is out of reach is not waited for")
    }

    @Test("a gateway speaks for its region only when it has heard its region") func gateways() {
        let mesh = Mesh(["eu": 1, "us": 2])
        mesh.linkAll()
        mesh.adopt("eu0", "us0")
        while mesh.exchange() {}
        #expect(!mesh.isSettled("eu0"))
        mesh.adopt("us1")
        while mesh.exchange() {}
        #expect(mesh.areAllSettled())
    }

    @Test("every cell of a node has to say it, and for this topology") func cells() {
        let mesh = Mesh(["eu": 2])
        mesh.cells = 2
        mesh.linkAll()
        mesh.adoptAll()
        _ = mesh.exchange(cellsHeard: 0..<1)
        _ = mesh.exchange(cellsHeard: 0..<1)
        #expect(!mesh.isSettled("eu0"))
        let other = AnnouncementRounds.Mark(topology: 7, round: .own, cell: 1, cells: 2)
        mesh.nodes[mesh["eu0"]]?.heard(other, from: mesh["eu1"])
        #expect(!mesh.isSettled("eu0"))
        for round in [AnnouncementRounds.Round.own, .foreign] {
            let mark = AnnouncementRounds.Mark(
                topology: AnnouncementRounds.fingerprint(of: mesh.topology), round: round, cell: 1, cells: 2)
            mesh.nodes[mesh["eu0"]]?.heard(mark, from: mesh["eu1"])
        }
        #expect(mesh.isSettled("eu0"))
    }

    @Test("a mark of a cell that cannot be, or of somebody without a link, is not heard") func garbage() {
        let mesh = Mesh(["eu": 2])
        mesh.adoptAll()
        let fingerprint = AnnouncementRounds.fingerprint(of: mesh.topology)
        mesh.nodes[mesh["eu0"]]?.heard(.init(topology: fingerprint, round: .own, cell: 0, cells: 1), from: mesh["eu1"])
        mesh.link("eu0", "eu1")
        for (cell, cells) in [(5, 2), (0, 0), (1 << 40, 1 << 41)] {
            mesh.nodes[mesh["eu0"]]?.heard(.init(topology: fingerprint, round: .own, cell: cell, cells: cells), from: mesh["eu1"])
        }
        #expect(!mesh.isSettled("eu0"))
    }

    @Test("a link that comes later is told all rounds again, and a settled node stays so") func relink() {
        let mesh = Mesh(["eu": 2, "us": 1])
        mesh.linkAll()
        mesh.adoptAll()
        while mesh.exchange() {}
        #expect(mesh.areAllSettled())
        mesh.link("eu0", "eu1")
        #expect(mesh.isSettled("eu0") && mesh.isSettled("eu1"))
        #expect(mesh.exchange())
    }

    @Test("a newer topology begins anew") func newer() {
        let mesh = Mesh(["eu": 2])
        mesh.linkAll()
        mesh.adoptAll()
        while mesh.exchange() {}
        let old = AnnouncementRounds.fingerprint(of: mesh.topology)
        _ = mesh.topology.learn(Roster(region: RegionID("eu"), version: 2, nodes: mesh.nodes.keys.sorted()))
        #expect(AnnouncementRounds.fingerprint(of: mesh.topology) != old)
        mesh.adoptAll()
        #expect(!mesh.isSettled("eu0"))
        while mesh.exchange() {}
        #expect(mesh.areAllSettled())
    }
}
