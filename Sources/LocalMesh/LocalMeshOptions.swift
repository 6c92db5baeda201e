import Foundation
import MeshConfiguration
import MeshCore

/// What mesh to run on this machine.
public struct LocalMeshOptions: Sendable {
    public enum StoreKind: String, Sendable, CaseIterable { case redis, embedded }

    /// Bounds of `regions` and `nodes`: as many as have names and as ports leave room for.
    public static let regionsMax = MeshPlan.regionNames.count
    public static let nodesMax = 10

    public var regions = 3
    /// Relay processes a region.
    public var nodes = 1
    /// Region i, node j: client at `basePort + 10i + j`, operations 100 above, mesh 200 above; Redis at `basePort + 300 + i`.
    /// 0 takes free ports.
    public var basePort = 7100
    public var store = StoreKind.redis
    /// Everything is encrypted: clients, operations, mesh and stores, by an authority that is made in the data folder.
    public var tls = false
    /// Holds the generated configuration, the token secret, the stores' files and the logs.
    public var dataDirectory: String
    /// Written when all nodes are ready, removed when the mesh stops.
    public var readyFile: String?
    /// Links between nodes go through proxies that can cut, reset and delay them.
    public var linkProxies = false
    public var cells = 2
    public var logging = LoggingConfiguration()
    /// Appended to the configuration file of every region: `limits:` and `timings:` sections.
    public var regionYAML = ""
    /// Appended to the mesh's own file: a `retention:` section.
    public var meshYAML = ""
    /// For all children to be ready.
    public var startTimeout = TimeSpan.seconds(60)
    /// Between SIGTERM and SIGKILL of the relays: longer than their `drain`.
    public var stopTimeout = TimeSpan.seconds(12)

    public init(dataDirectory: String) { self.dataDirectory = dataDirectory }

    /// The first thing that makes these options unusable, for a usage error.
    public func check() throws(LocalMeshError) {
        guard (1...Self.regionsMax).contains(regions) else { throw .usage("a local mesh has 1 to \(Self.regionsMax) regions") }
        guard (1...Self.nodesMax).contains(nodes) else { throw .usage("a region has 1 to \(Self.nodesMax) nodes") }
        guard basePort == 0 || (1_024...MeshPlan.basePortMax).contains(basePort) else {
            throw .usage("the base port is 0 (free ports) or 1024 to \(MeshPlan.basePortMax)")
        }
        guard store == .redis || nodes == 1 else {
            throw .usage("the embedded store is the memory of one process: it allows one node a region")
        }
        guard !dataDirectory.isEmpty else { throw .usage("the data folder needs a name") }
    }
}

public enum LocalMeshError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The options cannot be met.
    case usage(String)
    /// Each with its port and what it is for.
    case portsInUse([String])
    /// Something of this machine is missing or refused.
    case machine(String)
    /// A child ended before it was ready. With the end of its log.
    case diedDuringStart(name: String, how: String, log: String, lastLines: [String])
    /// Names of the children that were not ready in time, each with the reason it gave.
    case notReady([String])
    case unknown(String)

    public var description: String {
        switch self {
        case .usage(let text), .machine(let text): text
        case .portsInUse(let ports): "ports are in use: \(ports.joined(separator: ", ")). Choose others with --base-port"
        case .diedDuringStart(let name, let how, let log, let lines):
            "\(name) \(how) during start. The end of \(log):\n\(lines.map { "  | \($0)" }.joined(separator: "\n"))"
        case .notReady(let names): "not ready in time: \(names.joined(separator: "; "))"
        case .unknown(let name): "\(name) is not part of this mesh"
        }
    }
}
