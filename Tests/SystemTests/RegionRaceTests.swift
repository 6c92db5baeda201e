import FaultProxy
import HistoryChecker
import LocalMesh
import MeshCore
import Testing

/// MongooseIM's race (mod_global_distrib_SUITE, esl/MongooseIM#2392): a user moves from one region to another while messages for her are on
/// their way, and what the old region knows arrives last. There messages go to where she was. Here all of them arrive, once.
@Suite("A user who changes regions", .serialized, .mesh(linkProxies: true), .timeLimit(.minutes(2))) struct RegionRaceTests {
    private static let rounds = 60
    /// How much later the old region's news arrives, at most.
    private static let delayMillisecondsMax = 200

    @Test("messages on their way to her arrive, once, though the old region's news comes last") func moves() async throws {
        let mesh = try MeshUnderTest.current
        let seed = ChaosSeed.draw()
        let travellers = try await Travellers.gather(in: mesh, seed: seed)
        var demands = Demands()
        let tries = Self.rounds * travellers.users.count
        (demands.acknowledgedMin, demands.seenMin, demands.disruptionsMin) = (2 * tries, 2 * tries, Self.rounds)
        demands.connectionsMin = tries
        let crowd = travellers.crowd
        try await crowd.run("race of regions", demanding: demands) { trouble in
            var random = SeededRandom(seed: seed)
            try await travellers.arrive(at: mesh.node(MeshUnderTest.regions[0]).node)
            var place = MeshUnderTest.regions[0]
            for _ in 0..<Self.rounds {
                let others = MeshUnderTest.regions.filter { $0 != place }
                let next = others.randomElement(using: &random) ?? place
                let delay = Int.random(in: 0...Self.delayMillisecondsMax, using: &random)
                trouble.log.record(.disrupted("what \(place) says is \(delay) ms late, and all go to \(next)"))
                try await mesh.local.isolate(RegionID(place), direction: .there, by: .delay(.milliseconds(delay)))
                try await travellers.travel(to: mesh.node(next).node, within: delay + 1, &random)
                try await mesh.local.healLinks()
                place = next
            }
        }
    }
}

/// Users who move together, one homed in each region and one more, each with somebody who writes to her from wherever he is.
private struct Travellers: Sendable {
    let crowd: ChaosCrowd
    let users: [ChaosClient]
    let writers: [ChaosClient]

    static func gather(in mesh: MeshUnderTest, seed: UInt64) async throws -> Travellers {
        let log = ChaosLog()
        var still = ChaosClient.Habits()
        (still.publishEveryMilliseconds, still.moveEveryMilliseconds, still.freshPercent) = (nil, nil, 0)
        var users: [ChaosClient] = []
        var writers: [ChaosClient] = []
        for (n, home) in (MeshUnderTest.regions + ["us-east"]).enumerated() {
            let alice = try await mesh.user("alice", homedIn: home)
            users.append(
                try await ChaosClient(
                    user: alice, reads: ["@\(alice)"], writes: [], habits: still, seed: mix64(seed &+ UInt64(n)), log: log, mesh: mesh))
            writers.append(
                try await ChaosClient(
                    user: MeshUnderTest.unique("bob"), reads: [], writes: ["@\(alice)"], habits: still, seed: mix64(seed &- UInt64(n) &- 1),
                    log: log, mesh: mesh))
        }
        let rooms = users.map { "@\($0.user)" }
        return Travellers(
            crowd: ChaosCrowd(mesh: mesh, rooms: rooms, log: log, seed: seed, clients: users + writers), users: users, writers: writers)
    }

    /// All are there and read.
    func arrive(at node: NodeID) async throws {
        for user in users { try await user.move(to: node) }
        try await settle()
    }

    /// Everybody moves at some moment of a span, and is written to at two moments of it.
    func travel(to node: NodeID, within milliseconds: Int, _ random: inout SeededRandom) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (user, writer) in zip(users, writers) {
                let moments = (0..<3).map { _ in Int.random(in: 0...milliseconds, using: &random) }
                group.addTask {
                    try await Pause.of(milliseconds: moments[0])
                    try await user.move(to: node)
                }
                for moment in moments.dropFirst() {
                    group.addTask {
                        try await Pause.of(milliseconds: moment)
                        writer.say()
                    }
                }
            }
            try await group.waitForAll()
        }
        try await settle()
    }

    /// What was written has been answered, and has been read.
    private func settle() async throws {
        try await eventually("all is said and read") {
            zip(users, writers).allSatisfy { user, writer in
                writer.hasSaidAll && user.isReading && user.hasReached(writer.lastAcknowledged, in: "@\(user.user)")
            }
        }
    }
}
