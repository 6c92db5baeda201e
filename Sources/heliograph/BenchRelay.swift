import Benchmarks
import Foundation
import LocalMesh
import Logging
import MeshConfiguration
import MeshCore
import Relay
import TLS

/// The relay that `bench` measures: one node, one region, the embedded store or a redis-server of its own, free ports on loopback, TLS and cleartext
/// on one of them.
struct BenchRelay: BenchmarkServer {
    /// The secret, and the certificates of an authority that lives as long as the benchmark. Removed by `stop`.
    private let folder: URL
    private let relay: RelayNode
    private let secret: TokenSecret
    private let redis: LocalRedis?

    init(cells: Int, withRedis: Bool) async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("heliograph-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("token.secret").path
        var generator = SystemRandomNumberGenerator()
        let text = (0..<4).map { _ in String(UInt64.random(in: .min ... .max, using: &generator), radix: 16) }.joined()
        let padded = text + String(repeating: "0", count: TokenSecret.bytesLeast)
        try Data(padded.utf8).write(to: URL(fileURLWithPath: file))
        secret = try TokenSecret(file: file)
        redis = withRedis ? try await LocalRedis.start(in: folder.path) : nil
        bootstrapLogging(LoggingConfiguration(level: "error"))
        var configuration = Self.configuration(cells: cells, secretFile: file, certificate: try Self.certificate(in: folder))
        if let redis { configuration.store = .redis(HostPort(host: "127.0.0.1", port: redis.port)) }
        // What is measured is how fast it goes, not how fast it is allowed to go.
        configuration.limits.hellosPerSecondMax = 1_000_000
        configuration.limits.publishesPerSecondMax = 10_000_000
        configuration.limits.dedupKeysPerRoomMax = 10_000_000
        relay = RelayNode(configuration: configuration, logger: Logger(label: "heliograph"))
    }

    private static func trustFile(in folder: URL) -> String { folder.appendingPathComponent("ca.pem").path }

    private static func certificate(in folder: URL) throws -> TLSCertificateFiles {
        let authority = try TLSAuthority.make(name: "Heliograph benchmark", validity: .days(1))
        try Data(authority.certificate.utf8).write(to: URL(fileURLWithPath: trustFile(in: folder)))
        let files = TLSCertificateFiles(
            chain: folder.appendingPathComponent("relay.pem").path, key: folder.appendingPathComponent("relay.key").path)
        let request = TLSCertificateRequest(name: "relay", dns: ["localhost"], addresses: ["127.0.0.1"], usage: .server, validity: .days(1))
        try authority.issue(request).write(to: files)
        return files
    }

    private static func configuration(cells: Int, secretFile: String, certificate: TLSCertificateFiles) -> NodeConfiguration {
        let region = RegionID("bench")
        let node = NodeID(region: region, name: "bench-0")
        let free = HostPort(host: "127.0.0.1", port: 0)
        let addresses = NodeAddresses(client: free, operations: free, mesh: free)
        let mesh = MeshDescription(
            name: "bench", regions: [RegionDescription(region: region, nodes: [SeedNode(node: node, addresses: addresses)])],
            placements: ["default": [region]], tokenSecretFile: secretFile)
        return NodeConfiguration(
            mesh: mesh, node: node, addresses: addresses, store: .embedded,
            tls: TLSConfiguration(client: ClientTLS(certificates: [certificate], allowsPlaintext: true)), cells: cells)
    }

    /// The relay runs until the process ends.
    func start() async throws -> BenchmarkAddress {
        let running = Task { try await relay.run() }
        Task {
            if case .failure(let error) = await running.result {
                FileHandle.standardError.write(Data("the relay cannot run: \(error)\n".utf8))
                exit(1)
            }
        }
        return BenchmarkAddress(port: try await relay.clientPort(), trustFile: Self.trustFile(in: folder), redisPort: redis?.port)
    }

    func stop() async throws {
        await redis?.stop()
        try FileManager.default.removeItem(at: folder)
    }

    func token(user: String) async throws -> String {
        try await DevelopmentToken(user: user).signed(with: secret)
    }

    func counters() async -> BenchmarkCounters {
        let traffic = await relay.traffic()
        return BenchmarkCounters(
            sends: traffic.sends, bytes: traffic.sentBytes, acknowledged: traffic.acknowledged, appendBatches: traffic.appendBatches)
    }
}
