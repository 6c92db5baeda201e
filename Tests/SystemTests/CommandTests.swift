import Foundation
import LocalMesh
import MeshConfiguration
import MeshCore
import Testing
import Wire

extension QuietMesh {
    /// The command line against a running mesh.
    @Suite struct CommandTests {
        let mesh: MeshUnderTest

        init() throws { mesh = try .current }

        private func run(_ arguments: String...) async throws -> Program.Result { try await Program.run(Program.heliograph, arguments) }

        @Test("token makes what the relays take") func token() async throws {
            let user = MeshUnderTest.unique("alice")
            let made = try await run("token", "--user", user, "--role", "guest", "--secret-file", mesh.local.tokenSecretFile)
            #expect(made.code == 0)
            let token = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
            let client = try await TestClient.connect(mesh.node("eu-west"), as: user, token: token)
            #expect(try await client.error(of: .publish(.text("eu-west/x", "x"))).code == .permissionDenied)
            await client.close()
        }

        @Test("status and route") func statusAndRoute() async throws {
            let status = try await run("status", "--url", mesh.node("us-east").operationsURL)
            #expect(status.code == 0 && MeshUnderTest.regions.allSatisfy { status.output.contains($0) } && status.output.contains("UP"))
            let route = try await run("route", "--url", mesh.node("us-east").clientURL, "--room", "ap-south/lobby")
            #expect(route.code == 0 && route.output.contains("ap-south"))
            let json = try await run("route", "--url", mesh.node("us-east").clientURL, "--user", "alice", "--json")
            let report = try JSONDecoder().decode(Route.self, from: Data(json.output.utf8))
            #expect(report.room == "@alice" && report.edges.count == 3)
            #expect(try await run("route", "--url", mesh.node("us-east").clientURL, "--room", "$x").code == 1)
            #expect(try await run("status", "--url", "http://127.0.0.1:1").code == 1)
            #expect(try await run("route", "--url", mesh.node("us-east").clientURL).code == 64)
        }

        @Test("two chats in two regions") func chat() async throws {
            let room = MeshUnderTest.unique("ap-south/chat")
            func chat(_ region: String, _ user: String) async throws -> RunningProgram {
                let url = try await mesh.node(region).clientURL
                return try RunningProgram(
                    Program.heliograph,
                    ["chat", "--url", url, "--user", user, "--room", room, "--secret-file", mesh.local.tokenSecretFile])
            }
            let bob = try await chat("us-east", "bob")
            try await eventually("bob is in: \(bob.errors)") { bob.output.contains("connected to us-east-0") }
            let alice = try await chat("eu-west", "alice")
            try await eventually("bob sees alice") { bob.output.contains("alice is here") }
            try alice.write("good morning\n")
            try await eventually("bob reads it") { bob.output.contains("alice good morning") }
            try bob.write("//slash\n/who\n")
            try await eventually("alice reads it") { alice.output.contains("bob /slash") }
            try await eventually("bob is told who is there") {
                bob.output.contains("  alice online") && bob.output.contains("  bob online")
            }
            alice.closeInput()
            #expect(try await alice.end().code == 0)
            try await eventually("bob sees alice go") { bob.output.contains("alice left") }
            try bob.write("/quit\n")
            #expect(try await bob.end().code == 0)
            #expect(!bob.output.contains("\u{1B}") && bob.output.components(separatedBy: "good morning").count == 2)
            bob.closeInput()
        }

        @Test("a chat that is refused says why") func chatRefused() async throws {
            let url = try await mesh.node("eu-west").clientURL
            let refused = try await run("chat", "--url", url, "--user", "alice", "--room", "lobby", "--token", "nonsense")
            #expect(refused.code == 1 && refused.errors.contains("UNAUTHENTICATED"), "\(refused.errors)")
        }
    }
}

/// The command line without a mesh, or with one of its own.
@Suite("Commands", .timeLimit(.minutes(2))) struct LonelyCommandTests {
    private func check(_ region: String, mesh: String? = nil) async throws -> Program.Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("heliograph-check-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
        try write(region, "here.yaml")
        try write(mesh ?? Self.meshYAML, "mesh.yaml")
        try write(String(repeating: "x", count: 40), "token.secret")
        return try await Program.run(Program.heliograph, ["serve", "--check", "--config", folder + "/here.yaml"])
    }

    private static let regionYAML = "region: here\nmesh: mesh.yaml\nnode: here-0\nstore:\n  kind: redis\n  redis: 127.0.0.1:6379\n"
    private static let meshYAML = """
        name: test
        token:
          secretFile: token.secret
        regions:
          - region: here
            nodes:
              - node: here-0
                client: 127.0.0.1:7100
                operations: 127.0.0.1:7200
                mesh: 127.0.0.1:7300

        """

    @Test("serve --check takes good files") func goodFiles() async throws {
        let result = try await check(Self.regionYAML)
        #expect(result.code == 0, "\(result.errors)")
        for region in MeshUnderTest.regions {
            let shipped = try await Program.run(
                Program.heliograph, ["serve", "--check", "--config", "\(Program.top)/regions/\(region).yaml"])
            #expect(shipped.code == 0, "\(shipped.errors)")
        }
    }

    @Test("serve --check refuses bad files with 78, every error with file and line") func badFiles() async throws {
        let result = try await check(Self.regionYAML + "colour: red\ncells: none\ntimings:\n  linkPing: 500ms\n  linkSilence: 600ms\n")
        let text = result.errors + result.output
        #expect(result.code == 78)
        #expect(text.contains("here.yaml:7") && text.contains("colour") && text.contains("here.yaml:8"), "\(text)")
        #expect(text.contains("linkSilence"), "\(text)")
        #expect(try await check(Self.regionYAML, mesh: "name: [").code == 78)
        #expect(try await check("").code == 78)
        #expect(try await Program.run(Program.heliograph, ["serve", "--check", "--config", "/nowhere/x.yaml"]).code == 78)
        #expect(try await Program.run(Program.heliograph, ["serve", "--check"]).code == 64)
    }

    @Test("up without Redis: three regions, a ready file, and an end in order") func embedded() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("heliograph-up-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let ready = folder + "/ready.json"
        let up = try RunningProgram(
            Program.heliograph, ["up", "--base-port", "0", "--store", "embedded", "--data", folder + "/data", "--ready-file", ready])
        try await eventually("the mesh is ready: \(up.output)", within: .seconds(60)) { FileManager.default.fileExists(atPath: ready) }
        let file = try JSONDecoder().decode(ReadyFile.self, from: Data(contentsOf: URL(fileURLWithPath: ready)))
        #expect(file.regions.map(\.region) == MeshUnderTest.regions && file.regions.allSatisfy { $0.redis == nil && $0.nodes.count == 1 })
        let secret = try TokenSecret(file: file.tokenSecretFile)
        var clients: [TestClient] = []
        for (region, user) in zip(file.regions, ["alice", "bob"]) {
            let token = try await DevelopmentToken(user: user).signed(with: secret)
            let client = try await TestClient.connect(Edge(clientURL: region.nodes[0].client), as: user, token: token)
            try await client.subscribe("ap-south/lobby")
            clients.append(client)
        }
        try await clients[0].publish("ap-south/lobby", "hello", key: "k")
        #expect(try await clients[1].messages("ap-south/lobby", until: "k").map(\.position.seq) == [1])
        #expect(try await clients[1].history("ap-south/lobby").messages.map(\.text) == ["hello"])
        up.signal(SIGINT)
        for client in clients { #expect(try await client.goodbye().code == 4000) }
        #expect(try await up.end().code == 0)
        #expect(!FileManager.default.fileExists(atPath: ready))
    }

    private struct Edge: ClientEdge { var clientURL: String }
}
