import Logging
import Membership
import MeshConfiguration
import MeshCore
import NIOCore
import Store
import Transport
import View
import Wire

/// Keeps a node in its mesh: its links, what it knows of the topology, its place in the roster of its region, and the way of every tree
/// frame from a link to the cell it is for. Lives on the event loop of the first cell.
final class MeshDriver: MeshLinksDelegate {
    private let context: NodeContext
    private let loop: any EventLoop
    private let links: MeshLinks
    private let ports: [CellPort]
    private let store: any RegionStore
    private let seeds: [RegionID: [NodeID]]
    private let addresses: [NodeID: LinkAddress]

    private(set) var topology: Topology
    private(set) var peers: [NodeID: PeerFigures] = [:]
    private(set) var lastHeard: [NodeID: Instant] = [:]
    private var storeEpochs: [RegionID: UInt64] = [:]
    private var keeper: RosterKeeper
    private var isChangingRoster = false
    private var leaseRenewedAt: Instant?
    private var isDraining = false
    private var isReady = false
    private var isStopped = false
    private var beats = 0
    private let startedAt = Clock.now()
    /// Frames of a kind that this version does not know.
    private(set) var unknownFrames: UInt64 = 0

    /// How long a mate that the roster lists may take to link after this node has started: it may be starting too.
    private static let startPatience = TimeSpan.seconds(4)
    static let beat = TimeAmount.milliseconds(250)

    init(context: NodeContext, loop: any EventLoop, ports: [CellPort], store: any RegionStore, topology: Topology) {
        self.context = context
        self.loop = loop
        self.ports = ports
        self.store = store
        self.topology = topology
        let mesh = context.configuration.mesh
        seeds = Dictionary(uniqueKeysWithValues: mesh.regions.map { ($0.region, $0.nodes.map(\.node)) })
        addresses = Dictionary(
            uniqueKeysWithValues: mesh.regions.flatMap(\.nodes).map {
                ($0.node, LinkAddress(host: $0.addresses.mesh.host, port: $0.addresses.mesh.port))
            })
        let timings = context.timings
        keeper = RosterKeeper(node: context.node, downAfter: timings.nodeDown, returnAfter: .seconds(2))
        let own = context.configuration.addresses.mesh
        links = MeshLinks(
            identity: LinkIdentity(mesh: mesh.name, owner: context.owner), listen: LinkAddress(host: own.host, port: own.port), loop: loop,
            settings: Self.settings(context), encryption: context.encryption.mesh, logger: context.logger, delegate: nil)
        links.delegate = self
    }

    private static func settings(_ context: NodeContext) -> LinkSettings {
        var settings = LinkSettings()
        settings.pingEvery = context.timings.linkPing
        settings.silence = context.timings.linkSilence
        settings.handshakeTimeout = context.timings.linkHandshakeTimeout
        settings.redialLeast = context.timings.redialLeast
        settings.redialMost = context.timings.redialMost
        settings.queueBytesMax = context.limits.linkQueueBytesMax
        settings.frameBytesMax = context.limits.meshFrameBytesMax
        return settings
    }

    // MARK: Lifecycle

    func start() -> EventLoopFuture<Void> {
        links.start().assumeIsolated().map { [self] in
            let patience = Clock.now() + Self.startPatience
            for mate in seeds[context.region] ?? [] where mate != context.node { keeper.unlinked(mate, now: patience) }
            updatePeers()
            let bound = NIOLoopBound(self, eventLoop: loop)
            loop.scheduleRepeatedTask(initialDelay: Self.beat, delay: Self.beat) { task in
                guard !bound.value.isStopped else { return task.cancel() }
                bound.value.onBeat()
            }
        }.nonisolated()
    }

    func setReady(_ ready: Bool) {
        isReady = ready
        tellNews()
    }

    func beginDrain() {
        isDraining = true
        tellNews()
    }

    /// Gives up the place in the roster and the lease, then the links.
    func leave() -> EventLoopFuture<Void> {
        keeper.leave()
        isStopped = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        let left = store.state == .up ? changeRoster() : loop.makeSucceededVoidFuture()
        return left.flatMap { bound.value.store.dropLease(of: bound.value.context.owner) }
            .flatMapError { _ in bound.eventLoop.makeSucceededVoidFuture() }
            .flatMap { bound.value.links.close() }
    }

    private func onBeat() {
        beats += 1
        if beats % 2 == 0 { keepRoster() }
        if beats % 4 == 0 { tellNews() }
        if beats % 4 == 0 { renewLease() }
    }

    // MARK: Links

    func linkUp(_ link: MeshLink) {
        let node = link.peer.node
        if node.region == context.region { keeper.linked(node) }
        lastHeard[node] = Clock.now()
        link.send(news().frame(), lane: .control)
        broadcast(.linkUp(link))
    }

    func linkDown(_ link: MeshLink, reason: String) {
        let node = link.peer.node
        if node.region == context.region { keeper.unlinked(node, now: Clock.now()) }
        peers[node] = nil
        broadcast(.linkDown(node, link.number))
        sharePeers()
    }

    func linkReceived(_ frames: [ByteBuffer], lane: LinkLane, from link: MeshLink) {
        lastHeard[link.peer.node] = Clock.now()
        switch lane {
        case .control: for frame in frames { NodeNews(frame).map { learn($0, from: link) } }
        case .tree: dispatch(frames, from: link.peer.node)
        }
    }

    private func broadcast(_ message: CellMessage) {
        for port in ports { port.post([message]) }
    }

    var linkedNodes: [NodeID: MeshLink] { links.links }
    var linkDrops: DropLedger { links.drops }
    var linkEnds: [String: UInt64] { links.ends }

    // MARK: Tree frames

    private func dispatch(_ frames: [ByteBuffer], from node: NodeID) {
        var batches = Array(repeating: [CellMessage](), count: ports.count)
        for frame in frames {
            let decoded = TreeCodec.decode(frame)
            if let mark = decoded.flatMap(TreeCodec.mark) {
                for cell in batches.indices { batches[cell].append(.announced(node, mark)) }
                continue
            }
            guard let decoded, let (cell, message) = message(decoded, from: node) else {
                unknownFrames += 1
                continue
            }
            batches[cell].append(message)
        }
        for (cell, batch) in batches.enumerated() where !batch.isEmpty { ports[cell].post(batch) }
    }

    private func message(_ frame: MeshTreeFrame, from node: NodeID) -> (cell: Int, CellMessage)? {
        let hub = Int(stableHash(frame.room) % UInt64(ports.count))
        switch frame.frame {
        case .join, .leave, .announcement, .typingIntent, .receiptsSaid:
            return TreeCodec.up(frame).map { (hub, .up(room: frame.room, child: .node(node), $0)) }
        case .joined, .refused, .delivery, .membersChanged, .typingUpdate, .presenceAsked, .receiptsChanged, .directReceipt,
            .deleted, .headAnnounced, .memberList, .hidden:
            return TreeCodec.down(frame).map { (hub, .downToHub(room: frame.room, parent: node, $0)) }
        case .request(let request):
            return RequestCodec.request(request).map { (hub, .request(room: frame.room, $0)) }
        case .response(let response):
            let isOwn = response.origin.region == context.region.name && response.origin.node == context.node.name
            let cell = isOwn ? RequestTable.cell(of: response.id, cells: ports.count) : 0
            return RequestCodec.response(response).map { (cell, .response($0)) }
        case .nodeRequest(let request):
            return DataCodec.request(request).map { (0, .nodeRequest($0)) }
        case .sessionTaken(let said):
            return SessionTaken(said).map { taken in
                (taken.owner.node == context.node ? Int(taken.number % UInt64(ports.count)) : 0, .taken(taken))
            }
        case .announced, nil:
            return nil
        }
    }

    // MARK: News

    private func news() -> NodeNews {
        NodeNews(
            rosters: Array(topology.rosters.values), owner: context.owner,
            figures: PeerFigures(
                boot: context.owner.boot, sessions: sessions, rooms: rooms, draining: isDraining, ready: isReady), storeEpochs: storeEpochs)
    }

    /// As the cells last reported.
    private var sessions = 0
    private var rooms = 0

    private func tellNews() {
        countLoad()
        let frame = news().frame()
        for link in links.links.values { link.send(frame, lane: .control) }
        sharePeers()
    }

    private func countLoad() {
        let asked = ports.map { port in port.loop.submit { (port.cell.value.sessions.count, port.cell.value.leaves.count) } }
        EventLoopFuture.whenAllSucceed(asked, on: loop).assumeIsolated().whenSuccess { [self] counts in
            sessions = counts.reduce(0) { $0 + $1.0 }
            rooms = counts.reduce(0) { $0 + $1.1 }
        }
    }

    private func learn(_ news: NodeNews, from link: MeshLink) {
        peers[link.peer.node] = news.figures
        for (region, epoch) in news.storeEpochs { learnStoreEpoch(epoch, of: region) }
        var changed = false
        for roster in news.rosters where topology.learn(roster) {
            changed = true
            if roster.region == context.region { keeper.adopted(roster) }
        }
        if changed { topologyChanged() }
    }

    private func learnStoreEpoch(_ epoch: UInt64, of region: RegionID) {
        guard epoch > storeEpochs[region] ?? 0 else { return }
        storeEpochs[region] = epoch
        if region == context.region { broadcast(.storeEpochKnown(epoch)) }
    }

    /// One of the cells attached to the store.
    func storeAttached(epoch: UInt64) {
        learnStoreEpoch(epoch, of: context.region)
    }

    private func sharePeers() {
        broadcast(.peers(peers))
    }

    private func topologyChanged() {
        updatePeers()
        broadcast(.topology(topology))
        tellNews()
    }

    private func updatePeers() {
        let neighbours = topology.neighbours(of: context.node, seeds: seeds)
        links.setPeers(addresses.filter { neighbours.contains($0.key) })
    }

    var configuredOthers: Int { seeds.values.reduce(0) { $0 + $1.count } - 1 }

    /// Whether the mesh has had a fair chance: somebody of every other region is linked, or five seconds have passed.
    var hasMesh: (ok: Bool, detail: String) {
        let regions = seeds.keys.filter { $0 != context.region }.sorted()
        let missing = regions.filter { region in !links.links.keys.contains { $0.region == region } }
        let detail = "\(links.links.count) of \(configuredOthers) nodes linked"
        if missing.isEmpty { return (true, detail) }
        let waited = Clock.now() - startedAt >= .seconds(5)
        let note = "\(detail), no link to \(missing.map(\.name).joined(separator: ", "))"
        return (waited && !links.links.isEmpty, note)
    }

    // MARK: The roster

    private func keepRoster() {
        guard store.state == .up, !isChangingRoster else { return }
        _ = changeRoster()
    }

    private func changeRoster() -> EventLoopFuture<Void> {
        isChangingRoster = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        return store.roster().flatMap { bound.value.propose(instead: $0) }
            .map { bound.value.adopt($0) }
            .flatMapErrorThrowing { _ in }
            .always { _ in bound.value.isChangingRoster = false }
    }

    private func propose(instead stored: StoredRoster?) -> EventLoopFuture<StoredRoster?> {
        let current = stored.map { Roster(region: context.region, version: $0.version, nodes: $0.nodes) }
        let seen = topology.rosters[context.region]?.version ?? 0
        guard let wanted = keeper.proposal(for: current, highestSeen: seen, now: Clock.now()) else {
            return loop.makeSucceededFuture(stored)
        }
        let proposal = StoredRoster(version: wanted.version, nodes: wanted.nodes)
        context.logger.info(
            "proposing a roster",
            metadata: ["version": "\(wanted.version)", "nodes": "\(wanted.nodes.map(\.name).joined(separator: " "))"])
        return store.changeRoster(expected: stored?.version ?? 0, to: proposal).map { $0 }
    }

    private func adopt(_ stored: StoredRoster?) {
        guard let stored else { return }
        let roster = Roster(region: context.region, version: stored.version, nodes: stored.nodes)
        keeper.adopted(roster)
        if topology.learn(roster) { topologyChanged() }
    }

    // MARK: The node's lease

    private func renewLease() {
        guard store.state == .up, !isDraining else { return }
        store.renewLease(of: context.owner, ttl: context.timings.nodeLease).assumeIsolated().whenSuccess { [self] in
            leaseRenewedAt = Clock.now()
        }
    }

    var ownNode: NodeID { context.node }

    var lease: (ok: Bool, detail: String) {
        guard let leaseRenewedAt else { return (false, "the node's lease has not been written yet") }
        let age = Clock.now() - leaseRenewedAt
        return (age < context.timings.nodeLease, "the node's lease was renewed \(age) ago")
    }
}
