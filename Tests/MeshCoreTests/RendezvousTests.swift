import Testing

@testable import MeshCore

/// Three regions of equal weight.
private let regions = ["ap-south", "eu-west", "us-east"].map(RegionID.init)

private func key(_ shard: Int) -> UInt64 { mix64(UInt64(shard) &+ 1) }

private func order(_ shard: Int, _ weights: [UInt32], _ among: [RegionID] = regions) -> [RegionID] {
    Rendezvous.order(key(shard), among: zip(among, weights).map { ($0, $1) })
}

@Suite("Rendezvous hashing") struct RendezvousTests {
    /// The weighted ones were computed with floating-point logarithms.
    @Test(
        "the same order on every machine",
        arguments: [
            ("lobby", [100, 100, 100], ["ap-south", "us-east", "eu-west"]),
            ("@alice", [100, 100, 100], ["us-east", "ap-south", "eu-west"]),
            ("eu/lobby", [100, 100, 100], ["eu-west", "us-east", "ap-south"]),
            ("eu/lobby", [300, 10, 100], ["ap-south", "us-east", "eu-west"]),
        ])
    func golden(_ room: String, _ weights: [UInt32], _ expected: [String]) {
        #expect(order(Int(Shard(room: room).number), weights).map(\.name) == expected)
    }

    @Test("the same choice on every machine", arguments: [("lobby", "eu-west-0"), ("@alice", "eu-west-2"), ("general", "eu-west-0")])
    func goldenChoice(_ room: String, _ expected: String) {
        let nodes = (0..<3).map { NodeID(region: RegionID("eu-west"), name: "eu-west-\($0)") }
        #expect(Rendezvous.choose(stableHash(room), among: nodes)?.name == expected)
        #expect(Rendezvous.choose(stableHash(room), among: nodes.reversed())?.name == expected)
    }

    @Test("nobody to choose") func empty() {
        #expect(Rendezvous.choose(1, among: [RegionID]()) == nil)
        #expect(Rendezvous.order(1, among: [(candidate: RegionID, weight: UInt32)]()).isEmpty)
    }

    @Test("shares are in proportion to weights") func shares() {
        let weights: [UInt32] = [100, 200, 50]
        var firsts: [RegionID: Int] = [:]
        for shard in 0..<Shard.count { firsts[order(shard, weights)[0], default: 0] += 1 }
        for (region, weight) in zip(regions, weights) {
            let expected = Double(Shard.count) * Double(weight) / 350
            #expect(abs(Double(firsts[region] ?? 0) - expected) < expected * 0.06, "\(region): \(firsts[region] ?? 0) of \(expected)")
        }
    }

    @Test("a candidate that goes takes only its own first places along, and they spread") func minimalMovement() {
        let names = ["a", "b", "c", "d"].map(RegionID.init)
        let lost = names[1]
        var heirs: [RegionID: Int] = [:]
        for shard in 0..<Shard.count {
            let before = order(shard, [100, 100, 100, 100], names)
            let after = order(shard, [100, 0, 100, 100], names)
            #expect(after == before.filter { $0 != lost })
            if before[0] == lost { heirs[after[0], default: 0] += 1 }
        }
        #expect(heirs.count == 3)
        for (region, count) in heirs { #expect((1_150...1_600).contains(count), "\(region): \(count)") }
    }

    @Test("a weight that grows only attracts") func growth() {
        for shard in 0..<Shard.count {
            let before = order(shard, [100, 100, 100])[0]
            let after = order(shard, [100, 130, 100])[0]
            #expect(after == before || after == regions[1])
        }
    }

    @Test("the fixed-point logarithm") func logarithm() {
        #expect(Rendezvous.log2Fixed(1) == 0)
        #expect(Rendezvous.log2Fixed(1 << 40) == 40 << 32)
        #expect(abs(Double(Rendezvous.log2Fixed(3)) / 4_294_967_296 - 1.584_962_500_721_156) < 1e-8)
        #expect(Rendezvous.log2Fixed(.max) < 64 << 32)
        #expect(Rendezvous.cost(.max, weight: 1) < Rendezvous.cost(1, weight: 1))
        #expect(Rendezvous.cost(0, weight: .max) < Rendezvous.cost(0, weight: 1))
    }
}
