import FaultProxy
import Foundation
import HistoryChecker
import LocalMesh
import MeshCore
import Testing

/// P1, P2, P3, P4 and P6 under everything that goes wrong: thirty clients that come and go, two nodes a region, and a checker that knows
/// what each was told. A run is replayed with `HELIOGRAPH_SEED`, as far as processes allow.
@Suite("Chaos", .serialized, .mesh(nodes: 2, linkProxies: true), .timeLimit(.minutes(3))) struct ChaosTests {
    let mesh: MeshUnderTest
    let crowd: ChaosCrowd
    var random: SeededRandom

    init() async throws {
        mesh = try .current
        try await mesh.heal()
        let seed = ChaosSeed.draw()
        random = SeededRandom(seed: seed)
        crowd = try await ChaosCrowd.gather(in: mesh, seed: seed)
    }

    private func demands(disruptions: Int) -> Demands {
        var demands = Demands()
        (demands.acknowledgedMin, demands.seenMin, demands.disruptionsMin) = (200, 2_000, disruptions)
        (demands.resumesMin, demands.connectionsMin) = (40, 60)
        return demands
    }

    @Test("clients come, go and move") func moves() async throws {
        try await crowd.run("moves", demanding: demands(disruptions: 0)) { try await $0.traffic(seconds: 10) }
    }

    @Test("kill -9 of a root, of nodes of the other regions, and of the root that took over") func crashes() async throws {
        var random = random
        let others = ["eu-west", "ap-south"].map { ($0, Int.random(in: 0..<2, using: &random)) }
        try await crowd.run("crashes", demanding: demands(disruptions: 4)) { trouble in
            try await trouble.traffic(seconds: 2)
            let room = trouble.rooms[1]
            try await trouble.crash(mesh.root(of: room), awayMilliseconds: 1_500)
            for (region, index) in others {
                try await trouble.crash(mesh.node(region, index), awayMilliseconds: 500)
            }
            try await trouble.crash(mesh.root(of: room), awayMilliseconds: 100)
            try await trouble.traffic(seconds: 2)
        }
    }

    @Test("nodes stop for seconds and go on") func pauses() async throws {
        var random = random
        let lengths = (0..<3).map { _ in Int.random(in: 1_000...4_000, using: &random) }
        let edge = Int.random(in: 0..<2, using: &random)
        try await crowd.run("pauses", demanding: demands(disruptions: 3)) { trouble in
            try await trouble.traffic(seconds: 2)
            try await trouble.pause(mesh.root(of: trouble.rooms[0]), milliseconds: lengths[0])
            try await trouble.traffic(seconds: 1)
            try await trouble.pause(mesh.node("us-east", edge), milliseconds: lengths[1])
            try await trouble.pause(mesh.root(of: trouble.rooms[2]), milliseconds: lengths[2])
            try await trouble.traffic(seconds: 2)
        }
    }

    @Test("stores stop, crash and come back whole") func stores() async throws {
        try await crowd.run("stores", demanding: demands(disruptions: 3)) { trouble in
            try await trouble.traffic(seconds: 2)
            try await trouble.restartStore(of: "us-east", signal: SIGTERM, awayMilliseconds: 1_000)
            try await trouble.restartStore(of: "eu-west", signal: SIGKILL, awayMilliseconds: 200)
            try await trouble.traffic(seconds: 1)
            try await trouble.restartStore(of: "ap-south", signal: SIGKILL, awayMilliseconds: 2_500)
            try await trouble.traffic(seconds: 2)
        }
    }

    /// What it acknowledged is gone with it: but all are told, by a higher epoch, and nothing comes twice.
    @Test("a store loses everything") func wipedStore() async throws {
        var demands = demands(disruptions: 1)
        // The room without a region of its own may live there too.
        demands.roomsThatMayLose = [crowd.rooms[2], crowd.rooms[3]]
        try await crowd.run("wiped store", demanding: demands) { trouble in
            try await trouble.traffic(seconds: 3)
            try await trouble.restartStore(of: "ap-south", signal: SIGKILL, awayMilliseconds: 500, wiped: true)
            try await trouble.traffic(seconds: 4)
        }
    }

    @Test("links are cut, one way and both, silently and with a reset") func links() async throws {
        let (eu, us, ap) = (RegionID("eu-west"), RegionID("us-east"), RegionID("ap-south"))
        let pair = try await mesh.region("us-east").nodes.map(\.node)
        try await crowd.run("links", demanding: demands(disruptions: 5)) { trouble in
            try await trouble.traffic(seconds: 2)
            try await trouble.links("nothing from us-east reaches eu-west", milliseconds: 1_500) {
                try await mesh.local.cut(us, eu, direction: .there)
            }
            try await trouble.links("links to ap-south are reset", milliseconds: 1_000) {
                try await mesh.local.isolate(ap, by: .reset)
            }
            try await trouble.links("us-east is alone", milliseconds: 4_500) { try await mesh.local.isolate(us) }
            try await trouble.links("the two of us-east do not hear each other", milliseconds: 1_500) {
                try await mesh.local.cut(pair[0], pair[1])
            }
            try await trouble.links("200 ms more to eu-west", milliseconds: 2_000) {
                try await mesh.local.isolate(eu, by: .delay(.milliseconds(200)))
            }
            try await trouble.traffic(seconds: 2)
        }
    }
}
