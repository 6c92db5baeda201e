import DequeModule
import Logging
import Membership
import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Session
import Store
import SwiftProtobuf
import Transport
import View
import Wire

/// One event loop of a node, with the sessions and rooms it owns. Everything here happens on that loop; others send messages.
///
/// Work is done once per tick: a tick begins with the first event after a quiet moment and ends when NIO runs the tasks that were queued
/// meanwhile. What a tick produced leaves at its end: one batch to each other cell, one write to each link, one send to each session.
final class Cell {
    let index: Int
    let loop: any EventLoop
    let context: NodeContext
    let store: any RegionStore
    let tools: ConnectionTools

    private(set) var ports: [CellPort] = []
    private(set) var topology: Topology
    private(set) var links: [NodeID: MeshLink] = [:]

    var leaves: [String: LeafRoom] = [:]
    var hubs: [String: HubRoom] = [:]
    var sessions: [UInt64: ClientSession] = [:]
    /// Sessions by the door they came through.
    var doors: [ClientConnection.Door: Int] = [:]
    /// What the linked nodes last told about themselves.
    private(set) var peers: [NodeID: PeerFigures] = [:]
    var requests: RequestTable
    var drops = DropLedger()
    var figures = CellFigures()
    var storeKeeper = StoreKeeper()
    var lingering: LingeringSessions<SessionHeir>
    var rounds: AnnouncementRounds
    /// Sessions whose visibility is not known yet, and since when.
    var awaitingVisibility: [UInt64: Instant] = [:]
    /// Whether the node takes sessions at all: not before it is ready, and not while it stops.
    var isOpen = false
    /// False until the node has heard from its peers how far the store's epochs have come.
    var maySpeakToStore = false
    /// Rooms with something to do at a later time.
    var restlessLeaves: [String: LeafRoom] = [:]
    var restlessHubs: [String: HubRoom] = [:]
    /// Of those the ones whose turn is still to come in this round.
    var hubsToLookAt: [HubRoom] = []
    /// Readers with pages to be forgotten soon.
    var readersWithPages: [ObjectIdentifier: RoomReader] = [:]
    /// Of all tails of this cell.
    var tailBytes = 0
    var said = SaidReceipts()
    var fastTicks = 0
    var isStopped = false
    var lastKey: UInt64 = 0
    let keyPrefix: String
    private(set) lazy var admission = Admission(cell: self)
    let storeGate: StoreGate
    /// Tells the rest of the node which epoch the store is in.
    let newsOfStore: @Sendable (UInt64) -> Void

    /// Rooms with a batch to fan out, hubs with something to say upwards, connections with an outbox, at the end of this tick.
    private var dirtyLeaves: [LeafRoom] = []
    private var dirtyHubs: [HubRoom] = []
    private var dirtyConnections: [ClientConnection] = []
    private var slowSessions: [ClientSession] = []
    private var catchingUp: Deque<ClientSession> = []
    private var isCatchUpScheduled = false
    private(set) var tick: UInt64 = 1
    private var isTickScheduled = false
    private var scratch = ByteBuffer()
    private static let scratchBytesMax = 1 << 20

    private var inbox: [CellMessage] = []
    private var outToCells: [[CellMessage]] = []
    private var outToNodes: [NodeID: ByteBuffer] = [:]
    private var places: [String: Uplink<NodeID>.Place] = [:]
    private var lastGeneration: UInt64 = 0
    private var lastVersion: UInt64 = 0
    private var lastSession: UInt64

    init(
        index: Int, cells: Int, loop: any EventLoop, context: NodeContext, store: any RegionStore, topology: Topology,
        newsOfStore: @escaping @Sendable (UInt64) -> Void
    ) {
        self.index = index
        self.loop = loop
        tools = ConnectionTools(loop: loop)
        self.context = context
        self.store = store
        self.topology = topology
        lingering = LingeringSessions(most: context.limits.lingeringSessionsMax / cells)
        rounds = AnnouncementRounds(node: context.node)
        requests = RequestTable(cell: index, cells: cells, most: context.limits.requestsInFlightMax)
        storeGate = StoreGate(most: context.limits.backgroundStoreCallsMax)
        self.newsOfStore = newsOfStore
        let node = String(stableHash(context.node.description) % 46_656, radix: 36)
        keyPrefix = "\(node)\(String(context.owner.boot, radix: 36))\(index)"
        lastSession = UInt64(index)
    }

    func connect(to ports: [CellPort]) {
        self.ports = ports
        outToCells = Array(repeating: [], count: ports.count)
    }

    // MARK: Numbers

    func nextGeneration() -> UInt64 {
        lastGeneration += 1
        return lastGeneration
    }

    func nextVersion() -> UInt64 {
        lastVersion += 1
        return lastVersion
    }

    /// Unique in this run of the node.
    func nextSession() -> UInt64 {
        lastSession += UInt64(ports.count)
        return lastSession
    }

    // MARK: The tick

    func scheduleTick() {
        guard !isTickScheduled else { return }
        isTickScheduled = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.runTick() }
    }

    func receive(_ messages: [CellMessage]) {
        inbox.append(contentsOf: messages)
        scheduleTick()
    }

    private func runTick() {
        isTickScheduled = false
        tools.tickBegan()
        figures.ticks += 1
        advanceCatchUps()
        repeat {
            passReceipts()
            drainInbox()
            flushHubs()
        } while !inbox.isEmpty
        sayRounds()
        fanOut()
        flushConnections()
        flushCells()
        flushLinks()
        tick += 1
        slowDownSessions()
        goOnCatchingUp()
    }

    /// Sessions that read earlier messages take a page each in turn, some in each tick: those who are fed live do not wait for all of them.
    private static let catchUpsPerTick = 64

    private func advanceCatchUps() {
        for _ in 0..<min(catchingUp.count, Self.catchUpsPerTick) {
            let session = catchingUp.removeFirst()
            session.isQueuedForCatchUp = false
            session.advanceCatchUps()
        }
    }

    func queueCatchUp(_ session: ClientSession) {
        guard !session.isQueuedForCatchUp else { return }
        session.isQueuedForCatchUp = true
        catchingUp.append(session)
        goOnCatchingUp()
    }

    /// A loop that is given its next task by the one before reads no socket and looks at no reply in between: as long as there are more than
    /// one tick takes, each has a pause behind it.
    private func goOnCatchingUp() {
        guard !catchingUp.isEmpty else { return }
        guard catchingUp.count > Self.catchUpsPerTick else { return scheduleTick() }
        guard !isCatchUpScheduled else { return }
        isCatchUpScheduled = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(1)) {
            bound.value.isCatchUpScheduled = false
            bound.value.scheduleTick()
        }
    }

    private func drainInbox() {
        while !inbox.isEmpty {
            let messages = inbox
            inbox = []
            for message in messages { handle(message) }
        }
    }

    private func flushHubs() {
        let dirty = dirtyHubs
        dirtyHubs.removeAll(keepingCapacity: true)
        for hub in dirty { hub.flush() }
    }

    /// One room: every subscriber is sent its batch at once. Several: those who are in more than one are corked first, so that they get one
    /// send for all.
    private func fanOut() {
        if dirtyLeaves.count > 1 {
            for leaf in dirtyLeaves { leaf.touchSubscribers(tick: tick) }
        }
        for leaf in dirtyLeaves { leaf.fanOut() }
        dirtyLeaves.removeAll(keepingCapacity: true)
    }

    private func flushConnections() {
        var index = 0
        while index < dirtyConnections.count {
            let connection = dirtyConnections[index]
            connection.isQueuedForFlush = false
            connection.flush()
            index += 1
        }
        dirtyConnections.removeAll(keepingCapacity: true)
        tools.pump()
    }

    private func flushCells() {
        for target in outToCells.indices where !outToCells[target].isEmpty {
            ports[target].post(outToCells[target])
            outToCells[target] = []
        }
    }

    private func flushLinks() {
        for (node, frames) in outToNodes {
            if links[node]?.send(frames, lane: .tree) != true { drops.count(.noRoute) }
        }
        outToNodes.removeAll(keepingCapacity: true)
    }

    private func slowDownSessions() {
        guard !slowSessions.isEmpty else { return }
        let slow = slowSessions
        slowSessions = []
        for session in slow { session.slowDown() }
    }

    // MARK: What a tick collects

    /// An empty buffer with storage, for what is encoded once and copied.
    func takeScratch() -> ByteBuffer {
        defer { scratch = ByteBuffer() }
        // Only now: as long as whoever gave it back still held it, this would have made a new one.
        scratch.clear()
        return scratch
    }

    func giveBack(scratch used: ByteBuffer) {
        if used.capacity <= Self.scratchBytesMax { scratch = used }
    }

    @inline(__always)
    func queueFlush(_ connection: ClientConnection) {
        guard !connection.isQueuedForFlush else { return }
        connection.isQueuedForFlush = true
        dirtyConnections.append(connection)
        scheduleTick()
    }

    func queueFanOut(_ leaf: LeafRoom) {
        dirtyLeaves.append(leaf)
        scheduleTick()
    }

    func queueFlush(_ hub: HubRoom) {
        dirtyHubs.append(hub)
        scheduleTick()
    }

    /// Its connection cannot be closed in the middle of a fan-out that walks over it.
    func queueSlow(_ session: ClientSession) {
        slowSessions.append(session)
        scheduleTick()
    }

    func post(_ message: CellMessage, to cell: Int) {
        if cell == index { inbox.append(message) } else { outToCells[cell].append(message) }
        scheduleTick()
    }

    /// False, and nothing sent, if there is no link to the node.
    @discardableResult
    func send(_ frame: MeshTreeFrame, to node: NodeID) -> Bool {
        guard links[node] != nil, let bytes: [UInt8] = try? frame.serializedBytes() else {
            drops.count(.noRoute)
            return false
        }
        MeshFraming.append(.tree, to: &outToNodes[node, default: ByteBuffer()]) { $0.writeBytes(bytes) }
        scheduleTick()
        return true
    }

    func isLinked(to node: NodeID) -> Bool { links[node] != nil }

    // MARK: Messages

    private func handle(_ message: CellMessage) {
        switch message {
        case .up(let room, let child, let up): hub(room).received(up, from: child)
        case .downToLeaf(let room, let down): leaves[room]?.received(down)
        case .downToHub(let room, let parent, let down): hubs[room]?.received(down, from: parent)
        case .request(let room, let request): route(room, request)
        case .taken(let taken): taken.owner == context.owner ? sessionTaken(taken) : route(taken)
        case .hidden(let session, let isHidden): sessions[session]?.visibilityTold(isHidden)
        case .announced(let node, let mark): rounds.heard(mark, from: node)
        case .response(let response): response.origin.node == context.node ? complete(response) : pass(response)
        case .nodeRequest(let request): route(request)
        case .endSessions(let user): endSessions(of: user)
        case .topology(let newer): learn(newer)
        case .linkUp(let link): linkUp(link)
        case .linkDown(let node, let number): linkDown(node, number)
        case .peers(let known): peers = known
        case .storeEpochKnown(let epoch): storeKeeper.learn(epoch)
        case .draining(let notice): drain(notice)
        }
    }

    private func learn(_ newer: Topology) {
        topology = newer
        places.removeAll(keepingCapacity: true)
        for hub in Array(hubs.values) { hub.place(relinked: false) }
        rounds.adopt(newer)
        for session in sessions.values { session.repeatPublishes() }
    }

    private func linkUp(_ link: MeshLink) {
        let node = link.peer.node
        links[node] = link
        for hub in Array(hubs.values) where hub.parent == node { hub.place(relinked: true) }
        rounds.linked(to: node)
        for session in sessions.values { session.repeatPublishes() }
    }

    private func linkDown(_ node: NodeID, _ number: LinkNumber) {
        guard links[node]?.number == number else { return }
        links[node] = nil
        outToNodes[node] = nil
        rounds.unlinked(from: node)
        for hub in Array(hubs.values) { hub.linkLost(node) }
    }

    // MARK: Rooms

    func cell(ofSession number: UInt64) -> Int { Int(number % UInt64(ports.count)) }

    /// The cell that is the hub of a room in this node.
    func hubCell(of room: String) -> Int { Int(stableHash(room) % UInt64(ports.count)) }

    func hub(_ room: String) -> HubRoom {
        if let hub = hubs[room] { return hub }
        let hub = HubRoom(name: room, cell: self)
        hubs[room] = hub
        hub.place(relinked: false)
        return hub
    }

    func leaf(_ room: String) -> LeafRoom {
        if let leaf = leaves[room] { return leaf }
        let leaf = LeafRoom(name: room, cell: self)
        leaves[room] = leaf
        return leaf
    }

    /// Bounded: places of rooms that nobody here is in are remembered for publishers, and forgotten all at once.
    private static let placesMax = 20_000

    private func place(of room: String) -> Uplink<NodeID>.Place {
        if let hub = hubs[room] { return hub.place }
        if let place = places[room] { return place }
        if places.count >= Self.placesMax { places.removeAll(keepingCapacity: true) }
        let place = Uplink<NodeID>.Place(topology.parent(of: context.node, for: room))
        places[room] = place
        return place
    }

    // MARK: Requests

    /// Asks the root of a room. Answers exactly once, later in this tick or in another one.
    func ask(_ room: String, _ ask: RootRequest.Ask, deadline: TimeSpan, _ completion: @escaping RequestTable.Completion) {
        guard let id = requests.add(deadline: Clock.now() + deadline, completion) else {
            return refuseLater(completion)
        }
        post(.request(room: room, RootRequest(origin: context.owner, id: id, hops: 0, ask: ask)), to: hubCell(of: room))
    }

    /// The longest way: edge, region hub, gateway, root, with one more for a roster that changes meanwhile.
    static let hopsMax = 5

    private func route(_ room: String, _ request: RootRequest) {
        if case .replay(let start) = request.ask { return hub(room).replay(start, for: request) }
        if let root = hubs[room]?.root { return root.serve(request) }
        if place(of: room) == .root { hub(room).root?.serve(request) } else { forward(room, request) }
    }

    /// One node further towards the root.
    private func forward(_ room: String, _ request: RootRequest) {
        switch place(of: room) {
        case .under(let next):
            guard request.hops < Self.hopsMax, isLinked(to: next) else {
                drops.count(.noRoute)
                return answer(request, .refused(Refusal(.unreachable, "no way to the room's home now", retryAfterMs: 1000)))
            }
            var onward = request
            onward.hops += 1
            send(RequestCodec.frame(room, onward), to: next)
        case .root, .unknown:
            answer(request, .refused(Refusal(.unreachable, "the room's home is not known yet", retryAfterMs: 1000)))
        }
    }

    /// Asks the level above this node for messages of a room; `hops` are those of whoever asked here.
    func askAbove(_ room: String, _ start: ReplayStart, hops: Int, _ completion: @escaping RequestTable.Completion) {
        guard let id = requests.add(deadline: Clock.now() + context.timings.requestDeadline, completion) else {
            return refuseLater(completion)
        }
        forward(room, RootRequest(origin: context.owner, id: id, hops: hops, ask: .replay(start)))
    }

    private func refuseLater(_ completion: @escaping RequestTable.Completion) {
        drops.count(.requestTableFull)
        let refusal = Refusal(.exhausted, "too many requests are under way on this node", retryAfterMs: 1000)
        loop.assumeIsolated().execute { completion(.refused(refusal)) }
    }

    /// Has its pages forgotten in time.
    func keepsPages(_ reader: RoomReader) { readersWithPages[ObjectIdentifier(reader)] = reader }

    func answer(_ request: RootRequest, _ answer: RootResponse.Answer) {
        pass(RootResponse(origin: request.origin, id: request.id, hops: 0, answer: answer))
    }

    /// Towards the node that asked.
    func pass(_ response: RootResponse) {
        guard response.origin.node != context.node else {
            guard response.origin == context.owner else { return drops.count(.staleGeneration) }
            return post(.response(response), to: RequestTable.cell(of: response.id, cells: ports.count))
        }
        guard response.hops < Self.hopsMax, let next = topology.nextHop(from: context.node, to: response.origin.node) else {
            return drops.count(.noRoute)
        }
        var onward = response
        onward.hops += 1
        send(RequestCodec.frame("", onward), to: next)
    }

    private func complete(_ response: RootResponse) {
        if let completion = requests.take(response.id) { completion(response.answer) }
    }

    // MARK: Drain

    private func drain(_ notice: DrainNotice) {
        isOpen = false
        tools.drain()
        var plan = DrainPlan(windowMs: notice.windowMs, seed: notice.seed &+ UInt64(index))
        for session in Array(sessions.values) { session.drain(edges: notice.edges, afterMs: plan.nextAfterMs()) }
    }
}
