import MeshCore
import Testing
import View

private let region = RegionID("eu")
private let nodes = (0..<9).map { NodeID(region: region, name: "n\($0)") }
private let a = nodes[0]
private let b = nodes[1]
private let c = nodes[2]

private func roster(_ version: UInt64, _ nodes: NodeID...) -> Roster { Roster(region: region, version: version, nodes: nodes) }

private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

private func keeper() -> RosterKeeper { RosterKeeper(node: a, downAfter: .seconds(1), returnAfter: .seconds(2)) }

@Suite("The roster") struct RosterTests {
    @Test("nodes are sorted") func sorted() { #expect(roster(1, b, a) == roster(1, a, b)) }

    @Test("all nodes of a small region are gateways, four of a large one") func gateways() {
        for count in 0...4 {
            #expect(Roster(region: region, version: 1, nodes: Array(nodes.prefix(count))).gateways == Array(nodes.prefix(count)))
        }
        for count in 5...9 {
            let all = Array(nodes.prefix(count))
            let gateways = Roster(region: region, version: 1, nodes: all).gateways
            #expect(gateways.count == 4 && Set(gateways).isSubset(of: all) && gateways == gateways.sorted())
            #expect(Roster(region: region, version: 9, nodes: all.reversed()).gateways == gateways)
        }
    }

    @Test("a node that goes changes at most one gateway") func stability() {
        let before = Roster(region: region, version: 1, nodes: nodes).gateways
        for lost in nodes {
            let after = Roster(region: region, version: 2, nodes: nodes.filter { $0 != lost }).gateways
            #expect(Set(before).subtracting(after) == (before.contains(lost) ? [lost] : []))
        }
    }
}

@Suite("The roster's keeper") struct RosterKeeperTests {
    @Test("a node that starts comes in at once, and is content then") func join() {
        var keeper = keeper()
        #expect(keeper.proposal(for: nil, highestSeen: 0, now: at(0)) == roster(1, a))
        #expect(keeper.proposal(for: roster(4, b), highestSeen: 4, now: at(0)) == roster(5, a, b))
        keeper.adopted(roster(5, a, b))
        #expect(keeper.proposal(for: roster(5, a, b), highestSeen: 5, now: at(9000)) == nil)
    }

    @Test("a version above all that was seen") func version() {
        var keeper = keeper()
        #expect(keeper.proposal(for: roster(3, b), highestSeen: 17, now: at(0))?.version == 18)
        #expect(keeper.proposal(for: roster(.max, b), highestSeen: 0, now: at(0)) == nil)
    }

    @Test("mates that are out of reach go after the bound, not before") func down() {
        var keeper = keeper()
        let now = roster(5, a, b, c)
        keeper.adopted(now)
        keeper.unlinked(b, now: at(0))
        keeper.unlinked(b, now: at(900))
        #expect(keeper.proposal(for: now, highestSeen: 5, now: at(999)) == nil)
        #expect(keeper.proposal(for: now, highestSeen: 5, now: at(1000)) == roster(6, a, c))
        keeper.linked(b)
        #expect(keeper.proposal(for: now, highestSeen: 5, now: at(5000)) == nil)
    }

    @Test("who never was linked is not judged") func unknownMates() {
        var keeper = keeper()
        keeper.adopted(roster(5, a, b))
        #expect(keeper.proposal(for: roster(5, a, b), highestSeen: 5, now: at(100_000)) == nil)
    }

    @Test("a node does not take itself out") func itself() {
        var keeper = keeper()
        keeper.adopted(roster(5, a))
        keeper.unlinked(a, now: at(0))
        #expect(keeper.proposal(for: roster(5, a), highestSeen: 5, now: at(5000)) == nil)
    }

    @Test("a node that was taken out waits before it returns, each time anew") func returning() {
        var keeper = keeper()
        keeper.adopted(roster(5, a, b))
        for start in [0, 10_000] {
            #expect(keeper.proposal(for: roster(6, b), highestSeen: 6, now: at(start)) == nil)
            #expect(keeper.proposal(for: roster(6, b), highestSeen: 6, now: at(start + 1999)) == nil)
            #expect(keeper.proposal(for: roster(6, b), highestSeen: 6, now: at(start + 2000)) == roster(7, a, b))
            keeper.adopted(roster(7, a, b))
        }
    }

    @Test("leaving: out at once, also as the last one, and not back") func leaving() {
        var keeper = keeper()
        keeper.adopted(roster(5, a, b))
        keeper.leave()
        #expect(keeper.proposal(for: roster(5, a, b), highestSeen: 5, now: at(0)) == roster(6, b))
        #expect(keeper.proposal(for: roster(5, a), highestSeen: 5, now: at(0)) == Roster(region: region, version: 6, nodes: []))
        #expect(keeper.proposal(for: roster(6, b), highestSeen: 6, now: at(60_000)) == nil)
    }

    @Test("a wiped store gets the roster that stood, so that no room moves") func wiped() {
        var keeper = keeper()
        keeper.adopted(roster(5, a, b, c))
        #expect(keeper.proposal(for: nil, highestSeen: 5, now: at(0)) == roster(6, a, b, c))
        keeper.unlinked(c, now: at(0))
        #expect(keeper.proposal(for: nil, highestSeen: 5, now: at(1000)) == roster(6, a, b))
        keeper.leave()
        #expect(keeper.proposal(for: nil, highestSeen: 5, now: at(1000)) == roster(6, b))
    }

    @Test("leaving a store that has no roster proposes nothing") func leavingNothing() {
        var keeper = keeper()
        keeper.leave()
        #expect(keeper.proposal(for: nil, highestSeen: 0, now: at(0)) == nil)
    }
}
