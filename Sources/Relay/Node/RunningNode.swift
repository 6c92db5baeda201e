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
import Transport
import View

/// A node whose cells and mesh driver exist.
struct RunningNode: Sendable {
    let context: NodeContext
    let ports: [CellPort]
    let driver: NIOLoopBound<MeshDriver>
    private let group: MultiThreadedEventLoopGroup
    private let listener = ListenerSlot()
    /// Nil in a region that tells nobody of messages.
    let push: PushStation?

    /// How many shards each region homes in the configured view. Made once: it walks over all of them.
    let shardsHomed: [RegionID: Int]

    /// Shared by copies of this value.
    private final class ListenerSlot: Sendable {
        let listener = Mutex<ClientListener?>(nil)
    }

    // MARK: Start

    static func start(
        _ context: NodeContext, loops: [any EventLoop], stores: [StorePort], group: MultiThreadedEventLoopGroup,
        progress: borrowing Mutex<StartProgress>
    ) async throws -> RunningNode {
        let topology = Topology(view: context.configuration.firstView)
        let news = StoreNews()
        var ports: [CellPort] = []
        for (index, loop) in loops.enumerated() {
            let store = stores[index]
            let port = try await loop.submit {
                let cell = Cell(
                    index: index, cells: loops.count, loop: loop, context: context, store: store.bound.value.store, topology: topology,
                    newsOfStore: { news.tell($0) })
                store.bound.value.onStateChange { [unowned cell] in cell.storeChanged($0) }
                return CellPort(loop: loop, cell: NIOLoopBound(cell, eventLoop: loop))
            }.get()
            ports.append(port)
        }
        let all = ports
        for port in ports { try await port.loop.submit { port.cell.value.connect(to: all) }.get() }
        let driver = try await loops[0].submit {
            let driver = MeshDriver(
                context: context, loop: loops[0], ports: all, store: stores[0].bound.value.store, topology: topology)
            return NIOLoopBound(driver, eventLoop: loops[0])
        }.get()
        news.driver.withLock { $0 = driver }
        let push = try makePush(context, ports: ports)
        let node = RunningNode(context: context, ports: ports, driver: driver, group: group, push: push, topology: topology)
        do {
            try await driver.eventLoop.flatSubmit { driver.value.start() }.get()
        } catch {
            throw NodeError.cannotListen("\(context.configuration.addresses.mesh) (mesh)", error)
        }
        return node
    }

    private init(
        context: NodeContext, ports: [CellPort], driver: NIOLoopBound<MeshDriver>, group: MultiThreadedEventLoopGroup,
        push: PushStation?, topology: Topology
    ) {
        self.context = context
        self.ports = ports
        self.driver = driver
        self.group = group
        self.push = push
        shardsHomed = topology.view.shardsHomed()
    }

    private static func makePush(_ context: NodeContext, ports: [CellPort]) throws(NodeError) -> PushStation? {
        guard let configuration = context.configuration.push, let port = ports.last else { return nil }
        let senders = try PushSenders(
            configuration: configuration, node: context.node, encryption: context.encryption, loop: port.loop
        ).make()
        return PushStation(configuration, senders: senders, port: port, logger: context.logger)
    }

    /// What a cell learns about the store reaches the driver, which is made after the cells.
    private final class StoreNews: Sendable {
        let driver = Mutex<NIOLoopBound<MeshDriver>?>(nil)

        func tell(_ epoch: UInt64) {
            guard let driver = driver.withLock({ $0 }) else { return }
            driver.eventLoop.execute { driver.value.storeAttached(epoch: epoch) }
        }
    }

    /// How long a node listens to its peers before it speaks to its store: they may know that the store was further than it says.
    private static let hearPeersFor = TimeSpan.milliseconds(1500)

    /// Waits until every check holds, then opens the door.
    func becomeReady(progress: borrowing Mutex<StartProgress>) async throws {
        try await waitForPeers()
        for port in ports {
            try await port.loop.submit {
                port.cell.value.maySpeakToStore = true
                port.cell.value.startTimers()
                port.cell.value.attachStore()
            }.get()
        }
        while await !checks().allSatisfy(\.ok) { try await pause() }
        try await listen()
        progress.withLock { $0.wasReady = true }
        push?.start()
        try await driver.eventLoop.submit { driver.value.setReady(true) }.get()
        context.logger.info("ready", metadata: ["client": "\(context.configuration.addresses.client)", "boot": "\(context.owner.boot)"])
    }

    private func waitForPeers() async throws {
        let deadline = Clock.now() + Self.hearPeersFor
        while Clock.now() < deadline {
            let heard = await ask { driver -> Bool in
                let others = driver.configuredOthers
                return driver.peers.count == others
            }
            if heard == true { return }
            try await pause()
        }
    }

    private func pause() async throws {
        if Task.isShuttingDownGracefully { throw CancellationError() }
        try await Task.sleep(for: .milliseconds(50))
    }

    private func listen() async throws {
        let address = context.configuration.addresses.client
        let settings = ClientListenerSettings(context)
        var fronts: [NIOLoopBound<any ClientFront>] = []
        for port in ports {
            fronts.append(
                try await port.loop.submit {
                    port.cell.value.isOpen = true
                    return NIOLoopBound<any ClientFront>(port.cell.value, eventLoop: port.loop)
                }.get())
        }
        do {
            let bound = try await ClientListener.bind(
                host: address.host, port: address.port, group: group, fronts: fronts, settings: settings, logger: context.logger
            ).get()
            listener.listener.withLock { $0 = bound }
        } catch {
            throw NodeError.cannotListen("\(address) (clients)", error)
        }
    }

    /// Nil before the node is ready.
    var clientPort: Int? { listener.listener.withLock { $0?.port } }

    // MARK: Asking

    func ask<Answer: Sendable>(_ body: @escaping @Sendable (MeshDriver) -> Answer) async -> Answer? {
        try? await driver.eventLoop.submit { body(driver.value) }.get()
    }

    func reports() async -> [CellReport] {
        var reports: [CellReport] = []
        for port in ports { if let report = await port.ask({ $0.report() }) { reports.append(report) } }
        return reports
    }

    // MARK: Stop

    /// Tells every session where and when to come back, waits for them, and leaves the mesh.
    func drain() async {
        try? await listener.listener.withLock { $0 }?.close().get()
        _ = await ask { $0.beginDrain() }
        async let pushStopped: Void? = push?.stop()
        await drainSessions()
        _ = await pushStopped
        try? await driver.eventLoop.flatSubmit { [driver] in driver.value.leave() }.get()
        for port in ports {
            try? await port.loop.flatSubmit {
                port.cell.value.isStopped = true
                return port.cell.value.store.close()
            }.get()
        }
    }

    private func drainSessions() async {
        let sessions = await count()
        let peers = await ask { $0.peers } ?? [:]
        let notice = DrainNotice(
            edges: edges(peers), windowMs: DrainPlan.windowMs(sessions: sessions), seed: context.owner.boot)
        for port in ports { port.post([.draining(notice)]) }
        let deadline = Clock.now() + context.timings.drain
        while Clock.now() < deadline, await count() > 0 { try? await Task.sleep(for: .milliseconds(20)) }
        let left = await count()
        context.logger.info("sessions are gone", metadata: ["told": "\(sessions)", "left": "\(left)"])
    }

    private func count() async -> Int {
        var total = 0
        for port in ports { total += await port.ask { $0.sessions.count } ?? 0 }
        return total
    }

    /// Other edges that take sessions: those of the same region first.
    private func edges(_ peers: [NodeID: PeerFigures]) -> [String] {
        peers.filter { $0.value.ready && !$0.value.draining }.keys
            .sorted { a, b in
                let near = (a.region == context.region, b.region == context.region)
                return near.0 == near.1 ? a < b : near.0
            }
            .compactMap { context.clientURLs[$0] }
    }
}
