import Foundation
import MeshCore
import Testing

@testable import LocalMesh

/// `heliograph up` as a process of its own.
@Suite(.serialized, .timeLimit(.minutes(2))) struct UpCommandTests {
    private let folder: Folder
    init() throws { folder = try Folder() }

    private func run(_ arguments: [String]) async throws -> ChildProcess {
        let command = ChildCommand(name: "up", executable: Support.heliograph, arguments: arguments, log: folder.path + "/up.log")
        return try await ChildProcess.start(command) { _, _ in }
    }

    private func up(_ more: String...) async throws -> ChildProcess {
        let fixed = [
            "up", "--data", folder.path + "/data", "--ready-file", folder.path + "/ready.json", "--relay-program", Support.fakeRelay,
        ]
        return try await run(fixed + ["--base-port", "0", "--regions", "2"] + more)
    }

    private func pidsWhenReady() async throws -> (relays: [Int32], stores: [Int32]) {
        #expect(await Support.eventually { folder.has("ready.json") }, "\(folder.read("up.log"))")
        let ready = try JSONDecoder().decode(ReadyFile.self, from: Data(folder.read("ready.json").utf8))
        return (ready.regions.flatMap(\.nodes).map(\.pid), ready.regions.compactMap(\.redis?.pid))
    }

    private func exit(of child: ChildProcess) async -> ChildExit? {
        _ = await child.waitForExit(timeout: .seconds(30))
        return child.status
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func aSignalStopsEverythingInOrder(signal: Int32) async throws {
        let up = try await up()
        let pids = try await pidsWhenReady()
        #expect(pids.relays.count == 2 && pids.stores.count == 2)
        #expect(await Support.eventually { folder.read("up.log").contains("Ctrl-C stops it.") })
        #expect(folder.read("up.log").contains("chat --url http://127.0.0.1:"))
        up.signal(signal)
        #expect(await exit(of: up) == .exited(0))
        #expect((pids.relays + pids.stores).allSatisfy { !Support.isAlive($0) })
        #expect(!folder.has("ready.json"))
        #expect(folder.read("data/logs/eu-west-0.log").contains("ended in order"))
    }

    @Test func anEncryptedMeshSaysWhomToTrust() async throws {
        let up = try await run([
            "up", "--tls", "--data", folder.path + "/data", "--ready-file", folder.path + "/ready.json", "--base-port", "0", "--regions",
            "1",
        ])
        _ = try await pidsWhenReady()
        let ready = try JSONDecoder().decode(ReadyFile.self, from: Data(folder.read("ready.json").utf8))
        #expect(ready.ca == folder.path + "/data/tls/ca.pem" && folder.has("data/tls/ca.pem"))
        let node = try #require(ready.regions.first?.nodes.first)
        #expect(node.client.hasPrefix("https://127.0.0.1:") && node.ops.hasPrefix("https://127.0.0.1:"))
        #expect(ready.regions.first?.redis?.url.hasPrefix("rediss://127.0.0.1:") == true)
        #expect(await Support.eventually { folder.read("up.log").contains("--ca ") })
        up.signal(SIGINT)
        #expect(await exit(of: up) == .exited(0))
    }

    @Test func childrenDieWithAKilledSupervisor() async throws {
        let up = try await up()
        let pids = try await pidsWhenReady()
        #expect((pids.relays + pids.stores).allSatisfy(Support.isAlive))
        up.signal(SIGKILL)
        #expect(await exit(of: up) == .signalled(SIGKILL))
        #expect(await Support.eventually(within: 5) { !(pids.relays + pids.stores).contains(where: Support.isAlive) })
    }

    @Test func childrenHaveGroupsOfTheirOwn() async throws {
        let up = try await up("--store", "embedded")
        let pids = try await pidsWhenReady()
        #expect(pids.relays.allSatisfy { getpgid($0) == $0 })
        up.signal(SIGINT)
        #expect(await exit(of: up) == .exited(0))
    }

    @Test func aSecondSignalKillsAtOnce() async throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/data", withIntermediateDirectories: true)
        try folder.write("deaf", "data/fake-eu-west-0")
        let up = try await up("--store", "embedded")
        let pids = try await pidsWhenReady()
        up.signal(SIGINT)
        #expect(await Support.eventually { folder.read("up.log").contains("stopping relays") })
        up.signal(SIGINT)
        #expect(await exit(of: up) == .exited(128 + SIGINT))
        #expect(await Support.eventually(within: 5) { !pids.relays.contains(where: Support.isAlive) })
    }

    @Test func aDeathIsReportedAndTheLastOneEndsIt() async throws {
        let up = try await up()
        let pids = try await pidsWhenReady()
        #expect(await Support.eventually { folder.read("up.log").contains("Ctrl-C stops it.") })
        kill(pids.relays[0], SIGKILL)
        #expect(await Support.eventually { folder.read("up.log").contains("eu-west-0 was killed by signal 9. The end of") })
        #expect(folder.read("up.log").contains("  | serving eu-west-0 on"))
        #expect(up.status == nil && Support.isAlive(pids.relays[1]))
        kill(pids.relays[1], SIGKILL)
        #expect(await exit(of: up) == .exited(1))
        #expect(pids.stores.allSatisfy { !Support.isAlive($0) })
    }

    @Test func aFailedStartExitsWith1() async throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/data", withIntermediateDirectories: true)
        try folder.write("die", "data/fake-eu-west-0")
        #expect(await exit(of: try await up()) == .exited(1))
        #expect(folder.read("up.log").contains("eu-west-0 exited with code 3 during start"))
        #expect(folder.read("up.log").contains("  | last words 29"))
    }

    @Test func aSignalDuringTheStartStopsIt() async throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/data", withIntermediateDirectories: true)
        try folder.write("unready", "data/fake-eu-west-0")
        let up = try await up()
        #expect(await Support.eventually { folder.read("up.log").contains("started us-east-0") })
        up.signal(SIGTERM)
        #expect(await exit(of: up) == .exited(0))
        #expect(!folder.has("ready.json"))
    }

    @Test(arguments: [
        ["up", "--regions", "9"], ["up", "--nodes", "11"], ["up", "--store", "embedded", "--nodes", "2"], ["up", "--store", "floppy"],
        ["up", "--base-port", "65535"], ["token", "--user", "a b", "--secret-file", "x"], ["token", "--secret-file", "x"],
        ["token", "--user", "alice", "--secret-file", "x", "--role", "king"], ["nonsense"], ["certs"],
        ["certs", "--out", "x", "--node", "a"],
    ])
    func wrongUsageExitsWith64(arguments: [String]) async throws {
        #expect(await exit(of: try await run(arguments)) == .exited(64))
    }

    @Test func tokensArePrintedAndAMissingSecretIsSaid() async throws {
        try folder.write(String(repeating: "x", count: 40), "secret")
        #expect(await exit(of: try await run(["token", "--user", "alice", "--secret-file", folder.path + "/secret"])) == .exited(0))
        #expect(folder.read("up.log").split(separator: ".").count == 3)
        #expect(await exit(of: try await run(["token", "--user", "alice", "--secret-file", folder.path + "/none"])) == .exited(1))
        #expect(folder.read("up.log").contains("none: no such file"))
    }
}
