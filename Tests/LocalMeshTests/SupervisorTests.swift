import Foundation
import MeshCore
import Testing

@testable import LocalMesh

/// The supervisor with real Redis servers and relays that only answer `/readyz`.
@Suite(.serialized, .timeLimit(.minutes(2))) struct SupervisorTests {
    private let folder: Folder
    private let events = Events()
    private let euWest = NodeID(region: RegionID("eu-west"), name: "eu-west-0")
    private let usEast = NodeID(region: RegionID("us-east"), name: "us-east-0")

    init() throws { folder = try Folder() }

    private func start(_ change: (inout LocalMeshOptions) -> Void = { _ in }) async throws -> LocalMesh {
        try await LocalMesh.start(folder.options(change), binary: Support.fakeRelay, onEvent: events.append)
    }

    @Test func aMeshStartsTellsWhereItIsAndStopsInOrder() async throws {
        let mesh = try await start { $0.nodes = 2 }
        let regions = await mesh.regions
        #expect(regions.map(\.region.name) == ["eu-west", "us-east"])
        #expect(regions.flatMap(\.nodes).map(\.node.name) == ["eu-west-0", "eu-west-1", "us-east-0", "us-east-1"])
        #expect(regions.flatMap(\.nodes).allSatisfy { $0.isRunning && Support.isAlive($0.pid) })

        let ready = try JSONDecoder().decode(ReadyFile.self, from: Data(folder.read("ready.json").utf8))
        #expect(ready == (await mesh.readyFile))
        #expect(ready.tokenSecretFile == folder.path + "/token.secret")
        #expect(ready.regions[0].nodes[1].pid == regions[0].nodes[1].pid)
        #expect(ready.regions[1].redis?.pid == regions[1].redis?.pid)
        for region in regions {
            #expect(await ReadinessProbe.redis(port: region.redis?.port ?? 0) == .ready)
        }

        await mesh.stop()
        #expect(events.pids.count == 6)
        #expect(events.pids.allSatisfy { !Support.isAlive($0) })
        #expect(!folder.has("ready.json"))
        #expect(folder.read("logs/us-east-1.log").contains("ended in order"))
        #expect(folder.read("logs/redis-eu-west.log").contains("Redis is now ready to exit"))
        #expect(events.deaths.isEmpty)
    }

    @Test func theReadyFileOfAMeshWithoutRedisNamesNone() async throws {
        let mesh = try await start { $0.store = .embedded }
        let object = try JSONSerialization.jsonObject(with: Data(folder.read("ready.json").utf8)) as? [String: Any]
        let regions = try #require(object?["regions"] as? [[String: Any]])
        #expect(Set(regions[0].keys) == ["region", "nodes"])
        let node = try #require((regions[0]["nodes"] as? [[String: Any]])?.first)
        #expect(Set(node.keys) == ["node", "client", "ops", "mesh", "pid"])
        await mesh.stop()
    }

    @Test func aChildThatDiesDuringTheStartEndsItWithTheEndOfItsLog() async throws {
        try folder.write("die", "fake-us-east-0")
        let error = await #expect(throws: LocalMeshError.self) { _ = try await start() }
        guard case .diedDuringStart(let name, let how, _, let lines) = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(name == "us-east-0")
        #expect(how == "exited with code 3")
        #expect(lines == (10..<30).map { "last words \($0)" })
        #expect(events.pids.allSatisfy { !Support.isAlive($0) })
        #expect(!folder.has("ready.json"))
    }

    @Test func aNodeThatDoesNotGetReadyIsNamedWithItsReason() async throws {
        try folder.write("unready", "fake-eu-west-0")
        await #expect(throws: LocalMeshError.notReady(["eu-west-0 (redis: refused)"])) {
            _ = try await start { $0.startTimeout = .seconds(3) }
        }
        #expect(events.all.contains(.waiting(["eu-west-0 (redis: refused)"])))
        #expect(events.pids.allSatisfy { !Support.isAlive($0) })
    }

    @Test func deathsAreReportedAndTheRestGoesOn() async throws {
        let mesh = try await start()
        try await mesh.kill(euWest)
        #expect(await Support.eventually { events.deaths == ["eu-west-0"] })
        #expect(!events.all.contains(.nothingLeft))
        #expect(await mesh.regions[1].nodes[0].isRunning)
        let died = events.all.first { if case .died = $0 { true } else { false } }
        #expect(
            died
                == .died(
                    name: "eu-west-0", how: .signalled(SIGKILL), log: folder.path + "/logs/eu-west-0.log",
                    lastLines: LogTail.lines(of: folder.path + "/logs/eu-west-0.log")))

        try await mesh.kill(usEast, SIGTERM)
        #expect(try await mesh.waitForExit(of: usEast, timeout: .seconds(10)) == .exited(0))
        #expect(await Support.eventually { events.all.contains(.nothingLeft) })
        await mesh.stop()
    }

    @Test func aNodeCanBeStartedAgainAtItsPlace() async throws {
        let mesh = try await start()
        let before = await mesh.regions[0].nodes[0]
        try await mesh.kill(euWest)
        #expect(try await mesh.waitForExit(of: euWest, timeout: .seconds(10)) == .signalled(SIGKILL))
        try await mesh.restart(euWest)
        let after = await mesh.regions[0].nodes[0]
        #expect(after.isRunning && after.pid != before.pid && after.clientURL == before.clientURL)
        // Running nodes are ended first, and that is no death to report.
        try await mesh.restart(usEast)
        #expect(await mesh.regions[1].nodes[0].isRunning)
        #expect(await Support.eventually { events.deaths == ["eu-west-0"] })
        await mesh.stop()
    }

    @Test func aNodeThatCannotBeStartedAgainIsReportedAtOnce() async throws {
        let mesh = try await start { $0.store = .embedded }
        try folder.write("die", "fake-eu-west-0")
        await #expect(throws: LocalMeshError.self) { try await mesh.restart(euWest) }
        await mesh.stop()
    }

    @Test func aStoreKeepsItsDataUnlessWiped() async throws {
        let mesh = try await start { $0.regions = 1 }
        let port = try #require(await mesh.regions[0].redis?.port)
        let region = RegionID("eu-west")
        #expect(redis(port, "SET greeting hello") == "+OK")
        try await mesh.stopRedis(region)
        #expect(await mesh.regions[0].redis?.isRunning == false)
        #expect(redis(port, "PING") == nil)
        try await mesh.startRedis(region)
        #expect(redis(port, "GET greeting") == "$5\r\nhello")
        try await mesh.startRedis(region, wiped: true)
        #expect(redis(port, "GET greeting") == "$-1")
        #expect(events.deaths.isEmpty)
        await mesh.stop()
    }

    private func redis(_ port: Int, _ command: String) -> String? {
        let reply = LoopbackSocket.exchange(port: port, request: command + "\r\n", timeoutMs: 2_000) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let isBulk = text.hasPrefix("$") && !text.hasPrefix("$-1")
            return text.split(separator: "\r\n", omittingEmptySubsequences: false).count > (isBulk ? 2 : 1)
        }
        return reply.map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    @Test func aNodeThatIgnoresSIGTERMIsKilled() async throws {
        try folder.write("deaf", "fake-eu-west-0")
        let mesh = try await start {
            $0.store = .embedded
            $0.stopTimeout = .milliseconds(200)
        }
        await mesh.stop()
        #expect(events.all.contains(.killing(name: "eu-west-0", after: .milliseconds(200))))
        #expect(events.pids.allSatisfy { !Support.isAlive($0) })
    }

    @Test func aPausedNodeIsWokenToEndInOrder() async throws {
        let mesh = try await start { $0.store = .embedded }
        try await mesh.kill(euWest, SIGSTOP)
        await mesh.stop()
        #expect(folder.read("logs/eu-west-0.log").contains("ended in order"))
    }

    @Test func aCancelledStartLeavesNothing() async throws {
        try folder.write("unready", "fake-eu-west-0")
        let starting = Task { _ = try await start() }
        #expect(await Support.eventually { events.all.contains { if case .started("us-east-0", _) = $0 { true } else { false } } })
        starting.cancel()
        await #expect(throws: CancellationError.self) { try await starting.value }
        #expect(events.pids.count == 4)
        #expect(events.pids.allSatisfy { !Support.isAlive($0) })
    }

    @Test func twoMeshesCannotShareAFolder() async throws {
        let mesh = try await start { $0.store = .embedded }
        await #expect(
            throws: LocalMeshError.machine("another mesh is running in \(folder.path): stop it, or choose another folder with --data")
        ) {
            _ = try await start { $0.store = .embedded }
        }
        #expect(folder.has("ready.json"))
        await mesh.stop()
        let again = try await start { $0.store = .embedded }
        await again.stop()
    }

    @Test func aMissingProgramIsNamed() async throws {
        await #expect(throws: LocalMeshError.machine("/nowhere/heliograph cannot be executed")) {
            _ = try await LocalMesh.start(folder.options(), binary: "/nowhere/heliograph", onEvent: events.append)
        }
        #expect(events.all.isEmpty)
    }
}
