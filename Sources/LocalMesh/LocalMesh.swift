import Foundation
import MeshConfiguration
import MeshCore
import TLS

/// A whole mesh on loopback: one redis-server and some relay processes a region, as children of this process. `heliograph up`
/// shows it to people; system tests, drills and benchmarks use it as a library.
///
/// Children die with this process, however it ends.
public actor LocalMesh {
    public struct Region: Hashable, Sendable {
        public var region: RegionID
        public var nodes: [Node]
        /// Nil with the embedded store.
        public var redis: Redis?
    }

    public struct Node: Hashable, Sendable {
        public var node: NodeID
        public var clientURL: String
        public var operationsURL: String
        /// `host:port` of the mesh listener.
        public var mesh: String
        /// Of its last start.
        public var pid: Int32
        public var isRunning: Bool
    }

    public struct Redis: Hashable, Sendable {
        public var url: String
        public var port: Int
        public var pid: Int32
        public var isRunning: Bool
    }

    public nonisolated let options: LocalMeshOptions
    public nonisolated let plan: MeshPlan
    /// Absolute.
    public nonisolated let directory: String
    public nonisolated let tokenSecretFile: String

    /// The authority that signed all certificates, PEM. Nil when nothing is encrypted.
    public nonisolated var trustFile: String? { options.tls ? files.certificates.trustFile : nil }

    let binary: String
    let files: MeshFiles
    let onEvent: @Sendable (MeshEvent) -> Void
    private let reservations: PortReservations
    private let lock: DirectoryLock
    var relays: [NodeID: ChildProcess] = [:]
    var redisServers: [RegionID: ChildProcess] = [:]
    /// Children whose end was reported, or is asked for and so no news.
    var settled: Set<pid_t> = []
    /// For questions to encrypted children. Set when their certificates have been made.
    var encryption: TLSContext?
    /// Between the nodes, if that was wished for.
    var proxies: LinkProxies?
    private(set) var phase = Phase.starting

    enum Phase { case starting, running, stopping }

    /// Starts a mesh and waits until every node is ready.
    ///
    /// - Parameters:
    ///   - binary: the program that is run as `binary serve --config DIR/<region>.yaml --node NAME`.
    ///   - onEvent: told of progress, and later of every child that dies. Called from several threads.
    /// - Throws: `LocalMeshError`, or `CancellationError` when the task is cancelled; then no child is left.
    public static func start(
        _ options: LocalMeshOptions, binary: String, onEvent: @escaping @Sendable (MeshEvent) -> Void = { _ in }
    ) async throws -> LocalMesh {
        try options.check()
        try Prerequisites.check(options, binary: binary)
        let mesh = try LocalMesh(options, binary: binary, onEvent: onEvent)
        do {
            try await mesh.startAll()
        } catch {
            await mesh.stop()
            throw error
        }
        return mesh
    }

    private init(_ options: LocalMeshOptions, binary: String, onEvent: @escaping @Sendable (MeshEvent) -> Void) throws {
        self.options = options
        self.binary = binary
        self.onEvent = onEvent
        files = MeshFiles(directory: options.dataDirectory)
        directory = files.directory
        tokenSecretFile = files.secret
        (plan, reservations) = try Self.reserve(options)
        try files.makeFolder(files.directory)
        lock = try DirectoryLock(path: files.lock, directory: files.directory)
    }

    private static func reserve(_ options: LocalMeshOptions) throws(LocalMeshError) -> (MeshPlan, PortReservations) {
        let wanted = MeshPlan(options) { options.basePort == 0 ? 0 : options.basePort + $0 }
        let reservations = try PortReservations.hold(wanted.ports)
        // With free ports the plan is made again from what was handed out: it asks in the same order.
        var free = reservations.ports.makeIterator()
        let plan = options.basePort == 0 ? wanted.mapPorts { _ in free.next() ?? 0 } : wanted
        return (plan, reservations)
    }

    /// Regions, nodes and stores with their addresses and current pids.
    public var regions: [Region] {
        plan.regions.map { region in
            Region(region: region.region, nodes: region.nodes.map(describe), redis: region.redisPort.map { describe(region.region, $0) })
        }
    }

    private func describe(_ node: MeshPlan.Node) -> Node {
        let child = relays[node.node]
        return Node(
            node: node.node, clientURL: node.clientURL(tls: options.tls), operationsURL: node.operationsURL(tls: options.tls),
            mesh: "127.0.0.1:\(node.meshPort)", pid: child?.pid ?? 0, isRunning: child.map { $0.status == nil } ?? false)
    }

    private func describe(_ region: RegionID, _ port: Int) -> Redis {
        let child = redisServers[region]
        let scheme = options.tls ? "rediss" : "redis"
        return Redis(
            url: "\(scheme)://127.0.0.1:\(port)", port: port, pid: child?.pid ?? 0, isRunning: child.map { $0.status == nil } ?? false)
    }

    public var readyFile: ReadyFile {
        ReadyFile(
            regions: regions.map { region in
                ReadyFile.Region(
                    region: region.region.name,
                    nodes: region.nodes.map {
                        ReadyFile.Node(node: $0.node.name, client: $0.clientURL, ops: $0.operationsURL, mesh: $0.mesh, pid: $0.pid)
                    },
                    redis: region.redis.map { ReadyFile.Redis(url: $0.url, pid: $0.pid) })
            },
            tokenSecretFile: tokenSecretFile, ca: trustFile)
    }

    // MARK: The end

    /// SIGTERM to the relays, and SIGKILL to those that are still there after `stopTimeout`; then the stores. Idempotent.
    public func stop() async {
        guard phase != .stopping else { return }
        phase = .stopping
        if let path = options.readyFile { unlink(path) }
        onEvent(.stopping)
        await end(Array(relays.values), within: options.stopTimeout)
        await end(Array(redisServers.values), within: .seconds(5))
        await proxies?.close()
        reservations.release()
        lock.release()
    }

    /// A child that a drill has paused is woken, so that it too can end in order.
    private func end(_ children: [ChildProcess], within timeout: TimeSpan) async {
        for child in children where child.signal(SIGTERM) { child.signal(SIGCONT) }
        await withTaskGroup(of: Void.self) { group in
            for child in children { group.addTask { await self.awaitEnd(of: child, within: timeout) } }
        }
    }

    func awaitEnd(of child: ChildProcess, within timeout: TimeSpan) async {
        guard await !child.waitForExit(timeout: timeout) else { return }
        onEvent(.killing(name: child.command.name, after: timeout))
        child.signal(SIGKILL)
        // Only a process in the kernel's uninterruptible sleep stays longer, and waiting does not help there.
        _ = await child.waitForExit(timeout: .seconds(5))
    }

    // MARK: Children

    func startChild(_ command: ChildCommand) async throws -> ChildProcess {
        guard phase != .stopping else { throw CancellationError() }
        let child = try await ChildProcess.start(command) { child, status in
            Task { await self.childExited(child, status) }
        }
        onEvent(.started(name: command.name, pid: child.pid))
        guard phase != .stopping else {
            // The stop began meanwhile and has not seen this child.
            child.signal(SIGKILL)
            _ = await child.waitForExit(timeout: .seconds(5))
            throw CancellationError()
        }
        return child
    }

    /// From here on deaths are news and no longer the failure of the start.
    func markRunning() {
        guard phase == .starting else { return }
        phase = .running
        for child in Array(relays.values) + Array(redisServers.values) {
            if let status = child.status { reportDeath(of: child, status) }
        }
    }

    private func childExited(_ child: ChildProcess, _ status: ChildExit) {
        guard phase == .running else { return }
        reportDeath(of: child, status)
    }

    private func reportDeath(of child: ChildProcess, _ status: ChildExit) {
        guard !settled.contains(child.pid) else { return }
        settled.insert(child.pid)
        let log = child.command.log
        onEvent(.died(name: child.command.name, how: status, log: log, lastLines: LogTail.lines(of: log)))
        if relays.values.allSatisfy({ $0.status != nil }) { onEvent(.nothingLeft) }
    }
}
