import Foundation
import HeliographClient
import HistoryChecker
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// Clients in all regions that write, read, come and go while somebody breaks things; then peace, and the judgement of the checker.
struct ChaosCrowd: Sendable {
    let mesh: MeshUnderTest
    let rooms: [String]
    let log: ChaosLog
    let seed: UInt64
    let clients: [ChaosClient]

    /// One room homed in each region and one that the shard decides. Every client is in two of them; every third stays where it is for as
    /// long as it can.
    static func gather(_ count: Int = 30, in mesh: MeshUnderTest, seed: UInt64) async throws -> ChaosCrowd {
        let rooms = MeshUnderTest.regions.map { MeshUnderTest.unique("\($0)/chaos") } + [MeshUnderTest.unique("chaos")]
        let log = ChaosLog()
        var clients: [ChaosClient] = []
        for n in 0..<count {
            let own = [rooms[n % 4], rooms[(n + 1 + n / 4 % 3) % 4]]
            var habits = ChaosClient.Habits()
            if n % 3 == 0 { habits.moveEveryMilliseconds = nil }
            clients.append(
                try await ChaosClient(
                    user: MeshUnderTest.unique("chaos"), reads: own, writes: own, habits: habits, seed: mix64(seed &+ UInt64(n)), log: log,
                    mesh: mesh))
        }
        return ChaosCrowd(mesh: mesh, rooms: rooms, log: log, seed: seed, clients: clients)
    }

    init(mesh: MeshUnderTest, rooms: [String], log: ChaosLog, seed: UInt64, clients: [ChaosClient]) {
        (self.mesh, self.rooms, self.log, self.seed, self.clients) = (mesh, rooms, log, seed, clients)
    }

    /// Lets the clients live while `trouble` lasts, ends all faults, waits for peace, and judges.
    func run(
        _ name: String, demanding demands: Demands, sourceLocation: SourceLocation = #_sourceLocation,
        _ trouble: @Sendable (ChaosTrouble) async throws -> Void
    ) async throws {
        print("chaos, \(name): HELIOGRAPH_SEED=\(seed)")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { try await client.run() } }
            do {
                try await trouble(ChaosTrouble(mesh: mesh, rooms: rooms, log: log, seed: seed))
                try await mesh.heal()
                try await makePeace()
            } catch {
                Issue.record("\(name), seed \(seed): \(error)", sourceLocation: sourceLocation)
            }
            for client in clients { client.stop() }
            try await group.waitForAll()
        }
        judge(name, demands, sourceLocation)
    }

    // MARK: The end

    /// Everybody brings to an end what is begun; then all must read what the logs hold.
    private func makePeace() async throws {
        for client in clients { client.calm() }
        try await eventually("everything is acknowledged", within: .seconds(45)) { clients.allSatisfy(\.hasSaidAll) }
        for room in rooms {
            let messages = try await readLog(of: room)
            log.setLog(messages, of: room)
            let head = messages.last?.position ?? .zero
            // Who does not come so far is named by the checker.
            try? await eventually("all have read \(room) up to \(head)", within: .seconds(20)) {
                clients.allSatisfy { $0.hasReached(head, in: room) }
            }
        }
    }

    /// Only its owner may read an inbox.
    private func readLog(of room: String) async throws -> [SeenMessage] {
        let user = room.hasPrefix("@") ? String(room.dropFirst()) : MeshUnderTest.unique("reader")
        let reader = try await TestClient.connect(mesh.node("eu-west"), as: user)
        let messages = try await reader.readLog(of: room)
        await reader.close()
        return messages
    }

    private func judge(_ name: String, _ demands: Demands, _ place: SourceLocation) {
        let history = log.snapshot
        print("chaos, \(name): \(history.counts)")
        let violations = history.check(demands)
        for violation in violations.prefix(10) { Issue.record("\(name), seed \(seed): \(violation)", sourceLocation: place) }
        if violations.count > 10 { Issue.record("\(name), seed \(seed): \(violations.count) violations in all", sourceLocation: place) }
        for complaint in log.complaints.prefix(10) { Issue.record("\(name), seed \(seed): \(complaint)", sourceLocation: place) }
    }
}

/// What breaks things during a run, and logs it.
struct ChaosTrouble: Sendable {
    let mesh: MeshUnderTest
    let rooms: [String]
    let log: ChaosLog
    let seed: UInt64

    func traffic(seconds: Int) async throws { try await Pause.of(milliseconds: seconds * 1_000) }
    func traffic(milliseconds: Int) async throws { try await Pause.of(milliseconds: milliseconds) }

    /// SIGKILL, a moment without the node, and a new start.
    func crash(_ node: LocalMesh.Node, awayMilliseconds: Int) async throws {
        log.record(.disrupted("\(node.node) is killed"))
        try await mesh.local.kill(node.node, SIGKILL)
        _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
        try await Pause.of(milliseconds: awayMilliseconds)
        try await mesh.local.restart(node.node)
        log.record(.mended("\(node.node) is back"))
    }

    /// SIGSTOP, and SIGCONT later.
    func pause(_ node: LocalMesh.Node, milliseconds: Int) async throws {
        log.record(.disrupted("\(node.node) is paused for \(milliseconds) ms"))
        try await mesh.local.kill(node.node, SIGSTOP)
        try await Pause.of(milliseconds: milliseconds)
        try await mesh.local.kill(node.node, SIGCONT)
        log.record(.mended("\(node.node) goes on"))
    }

    func restartStore(of region: String, signal: Int32, awayMilliseconds: Int, wiped: Bool = false) async throws {
        log.record(.disrupted("the store of \(region) ends by signal \(signal)\(wiped ? " and loses all" : "")"))
        try await mesh.local.stopRedis(RegionID(region), signal: signal)
        try await Pause.of(milliseconds: awayMilliseconds)
        try await mesh.local.startRedis(RegionID(region), wiped: wiped)
        log.record(.mended("the store of \(region) is back"))
    }

    /// A fault of links for a while.
    func links(_ what: String, milliseconds: Int, _ cut: () async throws -> Void) async throws {
        log.record(.disrupted("\(what) for \(milliseconds) ms"))
        try await cut()
        try await Pause.of(milliseconds: milliseconds)
        try await mesh.local.healLinks()
        log.record(.mended("links are whole"))
    }
}
