import Foundation
import LocalMesh
import MeshConfiguration
import MeshCore
import Synchronization
import Testing

/// A mesh of real relay processes and real redis-servers, on free ports and in a folder of its own.
struct MeshUnderTest: Sendable {
    static let regions = ["eu-west", "us-east", "ap-south"]

    let local: LocalMesh
    let folder: String
    private let secret: TokenSecret
    private let crashes: Crashes

    /// The mesh of the suite that runs. Set by `.mesh(...)`.
    @TaskLocal private static var running: MeshUnderTest?

    static var current: MeshUnderTest {
        get throws {
            guard let running else { throw SystemTestError("the suite lacks the trait .mesh()") }
            return running
        }
    }

    /// Starts a mesh for the length of `body`. One mesh at a time: they share two cores, and promises have deadlines.
    static func with(_ settings: MeshSettings, _ body: @Sendable () async throws -> Void) async throws {
        await Turns.shared.take()
        do {
            let mesh = try await start(settings)
            do {
                try await $running.withValue(mesh, operation: body)
            } catch {
                await mesh.stop()
                throw error
            }
            await mesh.stop()
        } catch {
            await Turns.shared.give()
            throw error
        }
        await Turns.shared.give()
    }

    private static func start(_ settings: MeshSettings) async throws -> MeshUnderTest {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("heliograph-system-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var options = LocalMeshOptions(dataDirectory: folder)
        options.basePort = 0
        options.nodes = settings.nodes
        options.cells = settings.cells
        options.logging.level = "info"
        options.regionYAML = settings.yaml
        options.meshYAML = settings.meshYAML
        options.tls = settings.tls
        options.linkProxies = settings.linkProxies
        let crashes = Crashes()
        let local = try await LocalMesh.start(options, binary: Program.heliograph, onEvent: crashes.note)
        return MeshUnderTest(local: local, folder: folder, secret: try TokenSecret(file: local.tokenSecretFile), crashes: crashes)
    }

    private func stop() async {
        await local.stop()
        for crash in crashes.all { Issue.record("\(crash)") }
        try? FileManager.default.removeItem(atPath: folder)
    }

    // MARK: Places

    func region(_ name: String) async throws -> LocalMesh.Region {
        guard let region = await local.regions.first(where: { $0.region.name == name }) else { throw SystemTestError("no region \(name)") }
        return region
    }

    func node(_ region: String, _ index: Int = 0) async throws -> LocalMesh.Node { try await self.region(region).nodes[index] }

    var nodes: [LocalMesh.Node] {
        get async { await local.regions.flatMap(\.nodes) }
    }

    func configuration(of region: String) -> String { "\(folder)/\(region).yaml" }

    func token(_ user: String, role: DevelopmentToken.Role = .member, ttlSeconds: Int = 3_600) async throws -> String {
        try await DevelopmentToken(user: user, role: role, ttlSeconds: ttlSeconds).signed(with: secret)
    }

    func token(claims: TestClaims) async throws -> String { try await claims.signed(with: secret) }

    /// A name that no other test uses.
    static func unique(_ name: String) -> String { "\(name)-\(counter.add(1, ordering: .relaxed).newValue)" }
    private static let counter = Atomic<Int>(0)

    /// A fresh user whose own room, and so whose status, is homed in `region`.
    func user(_ name: String, homedIn region: String) async throws -> String {
        while true {
            let user = Self.unique(name)
            let route: Route = try await HTTP.json("\(try await node("eu-west").clientURL)/v1/route?user=\(user)")
            if route.home == region { return user }
        }
    }
}

/// Deaths that no test has asked for: by a signal that tests do not send.
private final class Crashes: Sendable {
    private let list = Mutex<[String]>([])

    @Sendable func note(_ event: MeshEvent) {
        guard case .died(_, .signalled(let signal), let log, _) = event, signal != SIGKILL, signal != SIGTERM else { return }
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        list.withLock { $0.append(MeshReport.text(event) + "\n" + text.prefix(8_000)) }
    }

    var all: [String] { list.withLock { $0 } }
}

struct MeshSettings: Sendable {
    var nodes = 1
    /// Event loops of each node.
    var cells = 2
    /// `limits:` and `timings:` of every region.
    var yaml = ""
    /// `retention:` of the mesh.
    var meshYAML = ""
    /// Everything is encrypted.
    var tls = false
    /// Links between nodes can be cut.
    var linkProxies = false
}

/// Runs a suite, or a test, inside a mesh that is started for it and stopped after it.
struct MeshTrait: SuiteTrait, TestTrait, TestScoping {
    let settings: MeshSettings

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await MeshUnderTest.with(settings, function)
    }
}

extension Trait where Self == MeshTrait {
    static func mesh(
        nodes: Int = 1, cells: Int = 2, yaml: String = "", meshYAML: String = "", tls: Bool = false, linkProxies: Bool = false
    ) -> MeshTrait {
        MeshTrait(
            settings: MeshSettings(nodes: nodes, cells: cells, yaml: yaml, meshYAML: meshYAML, tls: tls, linkProxies: linkProxies))
    }
}

/// Hands out the machine to one mesh after the other.
private actor Turns {
    static let shared = Turns()
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        guard isTaken else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func give() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}

struct SystemTestError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
