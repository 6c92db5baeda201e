import Logging
import MeshConfiguration
import MeshCore
import NIOCore
import NIOPosix
import Operations
import ServiceLifecycle
import Session
import Store
import Synchronization
import TLS
import Transport
import View

public enum NodeError: Error, CustomStringConvertible, Sendable {
    case cannotListen(String, any Error)
    case noSecret(String)
    case noCertificates(String)
    /// What stands in the section `push` cannot be used.
    case noPush(String)

    public var description: String {
        switch self {
        case .cannotListen(let address, let cause): "cannot listen on \(address): \(cause)"
        case .noSecret(let reason): "the token secret cannot be read: \(reason)"
        case .noCertificates(let reason): "the certificates cannot be read: \(reason)"
        case .noPush(let reason): "notifications cannot be sent: \(reason)"
        }
    }
}

/// One relay process: starts its cells, its place in the mesh and its listeners, and takes them down in order.
///
/// Start: operations listener (answers `/readyz` from the first moment), store, boot number, mesh, attach, roster, client listener. Nothing is
/// accepted from clients before the first readiness. Stop: no new connections, `goodbye` to every session, then the mesh.
public final class RelayNode: Service {
    private let configuration: NodeConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    let progress = Mutex(StartProgress())
    let running = Mutex<RunningNode?>(nil)
    private let encryption = Mutex<NodeEncryption?>(nil)

    public init(configuration: NodeConfiguration, logger: Logger) {
        self.configuration = configuration
        var logger = logger
        logger[metadataKey: "node"] = "\(configuration.node)"
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.cells)
    }

    /// Runs until the service group shuts down gracefully, or the task is cancelled.
    public func run() async throws {
        let encryption = try readCertificates()
        let watching = Task { await TLSCredentials.watch(encryption.all) }
        defer { watching.cancel() }
        let operations = try await startOperations(encryption)
        do {
            try await withGracefulShutdownHandler {
                try await start(encryption)
                try await gracefulShutdown()
            } onGracefulShutdown: { [logger] in
                logger.info("stopping")
            }
        } catch is CancellationError {
            logger.info("stopped before it was ready")
        }
        await drain()
        await operations.stop()
        try? await group.shutdownGracefully()
    }

    /// Reads certificates again whose files have changed unnoticed. Blocks while they are read; does nothing before the start.
    public func reloadCertificates() {
        encryption.withLock { $0 }?.reload()
    }

    private func readCertificates() throws(NodeError) -> NodeEncryption {
        do throws(TLSConfigurationFault) {
            let encryption = try NodeEncryption(configuration.tls, push: configuration.push, logger: logger)
            self.encryption.withLock { $0 = encryption }
            if configuration.exposesMesh { logger.warning("mesh links are not encrypted") }
            return encryption
        } catch {
            throw .noCertificates("\(error)")
        }
    }

    private func startOperations(_ encryption: NodeEncryption) async throws -> RunningOperations {
        let address = configuration.addresses.operations
        let inspector = NodeInspector(node: self, configuration: configuration)
        let listener = OperationsListener(
            host: address.host, port: address.port, inspector: inspector, encryption: encryption.operations, logger: logger)
        let operations = try await listener.start()
        logger.info("operations listener is up", metadata: ["port": "\(operations.port)"])
        return operations
    }

    /// The port that clients are accepted on, once they are. Throws if the task is cancelled first.
    public func clientPort() async throws -> Int {
        while true {
            if let port = running.withLock({ $0 })?.clientPort { return port }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Since the start.
    public func traffic() async -> RelayTraffic {
        let reports = await running.withLock { $0 }?.reports() ?? []
        return reports.reduce(into: RelayTraffic()) { sum, report in
            sum.sends += report.sends
            sum.sentBytes += report.sentBytes
            sum.acknowledged += report.figures.publishes[.acknowledged] ?? 0
            sum.appendBatches += report.figures.appendBatches
        }
    }

    // MARK: Start

    private func start(_ encryption: NodeEncryption) async throws {
        let secret: TokenSecret
        do throws(TokenSecretFault) {
            secret = try TokenSecret(file: configuration.mesh.tokenSecretFile)
        } catch {
            throw NodeError.noSecret("\(error)")
        }
        let tokens = await TokenVerifier(secret: secret.bytes)
        let loops = Array(group.makeIterator())
        let stores = try await openStores(loops, encryption.store)
        let boot = try await nextBoot(stores[0])
        let context = NodeContext(
            configuration: configuration, owner: NodeBoot(node: configuration.node, boot: boot), crashed: await crashedRun(stores[0]),
            tokens: tokens, tickets: SessionTickets(secret: secret.bytes), logger: logger, clientURLs: configuration.clientURLs,
            encryption: encryption)
        let node = try await RunningNode.start(context, loops: loops, stores: stores, group: group, progress: progress)
        running.withLock { $0 = node }
        try await node.becomeReady(progress: progress)
    }

    /// One store connection for each cell. What changes before there is a cell is told to it when it comes.
    private func openStores(_ loops: [any EventLoop], _ encryption: TLSCredentials?) async throws -> [StorePort] {
        let embedded = EmbeddedStoreData()
        var limits = StoreLimits()
        limits.deadline = configuration.timings.storeDeadline
        var stores: [StorePort] = []
        for loop in loops {
            let port = try await loop.submit { [configuration, logger, limits] in
                StorePort.open(
                    configuration.store, on: loop, encryption: encryption, embedded: embedded, limits: limits, logger: logger)
            }.get()
            stores.append(port)
        }
        return stores
    }

    /// Waits for the store: without it the node can not know which run of itself this is.
    private func nextBoot(_ port: StorePort) async throws -> Boot {
        var waited = false
        while true {
            try Task.checkCancellation()
            if isShuttingDownGracefully { throw CancellationError() }
            let node = configuration.node
            let answer = try? await port.loop.flatSubmit { port.bound.value.store.nextBoot(of: node, wallClock: Clock.wall()) }.get()
            if let answer { return answer }
            let state = try await port.loop.submit { port.bound.value.store.state }.get()
            if case .down(let reason) = state { progress.withLock { $0.store = reason } }
            if !waited { logger.warning("waiting for the region's store", metadata: ["state": "\(state)"]) }
            waited = true
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// A run that stopped in order gave its lease up, and that of one that crashed ends with its sessions' grace.
    private func crashedRun(_ port: StorePort) async -> CrashedRun? {
        let node = configuration.node
        let boot = try? await port.loop.flatSubmit { port.bound.value.store.lease(of: node) }.get()
        return boot.map { CrashedRun(owner: NodeBoot(node: node, boot: $0), noticedAt: Clock.now()) }
    }

    private var isShuttingDownGracefully: Bool { Task.isShuttingDownGracefully }

    // MARK: Stop

    private func drain() async {
        guard let node = running.withLock({ $0 }) else { return }
        progress.withLock { $0.isDraining = true }
        await node.drain()
        logger.info("stopped")
    }
}

/// How far a start has come, for `/readyz` before there is a node to ask.
struct StartProgress: Sendable {
    var store = "not connected yet"
    var isDraining = false
    /// All checks have held once.
    var wasReady = false
}

extension NodeConfiguration {
    var clientURLs: [NodeID: String] {
        Dictionary(uniqueKeysWithValues: mesh.regions.flatMap(\.nodes).map { ($0.node, $0.addresses.clientURL) })
    }

    /// The view that the configuration proposes, at epoch 1.
    var firstView: MeshView {
        MeshView(
            epoch: 1, regions: mesh.regions.map { .init(region: $0.region, weight: $0.weight) },
            placements: mesh.placements.isEmpty ? [MeshView.defaultPlacement: mesh.regions.map(\.region)] : mesh.placements)
    }
}
