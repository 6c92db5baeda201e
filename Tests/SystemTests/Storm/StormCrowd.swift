import LocalMesh
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

/// What a storm of clients goes through.
final class Weather: Sendable {
    struct Welcome: Sendable {
        var user: String
        var isResume: Bool
        var at: ContinuousClock.Instant
        /// Since the hello that it answers.
        var waited: Duration
        var hellos: Int
    }

    struct Refusal: Sendable {
        var isResume: Bool
        /// Of the nodes of the storm.
        var node: Int
        var at: ContinuousClock.Instant
        var retryAfterMs: UInt32
        var goodbye: RelayGoodbye
        var closeCode: UInt16?
    }

    struct Record: Sendable {
        var welcomes: [Welcome] = []
        var refusals: [Refusal] = []
        /// Welcomes that said what became of the room, and those that left it to what followed.
        var rooms = (settled: 0, pending: 0)
        /// Clients who are in their room and have seen what they are to see.
        var settled = 0
        /// The first of them.
        var complaints: [String] = []
    }

    private let state = Mutex(Record())
    var record: Record { state.withLock { $0 } }
    var settled: Int { state.withLock { $0.settled } }

    func note(_ welcome: Welcome) { state.withLock { $0.welcomes.append(welcome) } }
    func note(_ refusal: Refusal) { state.withLock { $0.refusals.append(refusal) } }
    func noteRoom(isPending: Bool) { state.withLock { if isPending { $0.rooms.pending += 1 } else { $0.rooms.settled += 1 } } }
    func settled(_ change: Int) { state.withLock { $0.settled += change } }
    func complain(_ complaint: String) { state.withLock { if $0.complaints.count < 20 { $0.complaints.append(complaint) } } }

    /// What was seen so far counts no more; who is settled still is.
    func clear() {
        state.withLock { state in
            (state.welcomes, state.refusals, state.rooms) = ([], [], (0, 0))
        }
    }
}

/// Clients who do the same at once.
final class StormCrowd: Sendable {
    /// Of an event loop: more at once would wait in the listener's backlog.
    private static let connectingMax = 64

    let count: Int
    let weather = Weather()
    private let loops: [NIOLoopBound<[StormClient]>]

    init(_ users: some Sequence<StormUser>) async throws {
        let users = Array(users)
        count = users.count
        let group = MultiThreadedEventLoopGroup.singleton
        let eventLoops = Array(group.makeIterator())
        var loops: [NIOLoopBound<[StormClient]>] = []
        for (index, loop) in eventLoops.enumerated() {
            let weather = weather
            loops.append(
                try await loop.submit {
                    let mine = users.indices.filter { $0 % eventLoops.count == index }
                    return NIOLoopBound(mine.map { StormClient(users[$0], weather: weather, loop: loop) }, eventLoop: loop)
                }.get())
        }
        self.loops = loops
    }

    private func each(_ body: @escaping @Sendable (StormClient) -> Void) async throws {
        for clients in loops { try await clients.eventLoop.submit { clients.value.forEach(body) }.get() }
    }

    /// All of them come to the nodes in turn, as fast as they are let in at the doors.
    ///
    /// - Parameter waiting: they connect, and say hello when all of them do.
    func come(to nodes: [LocalMesh.Node], waiting: Bool = false) async throws {
        let places = try nodes.enumerated().map { index, node in
            let (host, port) = try TestClient.address(of: node.clientURL)
            return StormNode(index: index, host: host, port: port)
        }
        try await withThrowingTaskGroup { group in
            for clients in loops {
                group.addTask {
                    try await clients.eventLoop.flatSubmit {
                        let doors = (0..<Self.connectingMax).map {
                            Self.come($0, of: clients.value, to: places, waiting, on: clients.eventLoop)
                        }
                        return EventLoopFuture.andAllSucceed(doors, on: clients.eventLoop)
                    }.get()
                }
            }
            try await group.waitForAll()
        }
    }

    /// The one at `index`, and behind her the one that stands `connectingMax` further back.
    private static func come(
        _ index: Int, of clients: [StormClient], to places: [StormNode], _ waiting: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<Void> {
        guard clients.indices.contains(index) else { return loop.makeSucceededVoidFuture() }
        return clients[index].come(to: places[index % places.count], waits: waiting).assumeIsolated().flatMap {
            come(index + connectingMax, of: clients, to: places, waiting, on: loop)
        }.nonisolated()
    }

    /// At once.
    func sayHello() async throws { try await each { $0.sayHello() } }
    func drop() async throws { try await each { $0.drop() } }

    /// - Parameter goals: by room, the seq up to which all are to see it.
    func aim(at goals: [String: UInt64]) async throws { try await each { $0.aim(at: goals[$0.user.room] ?? 0) } }

    /// Waits until all are in their rooms and have seen what they are to see.
    func settle(within limit: Duration, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let weather = weather
        let deadline = ContinuousClock.now + limit
        while weather.settled < count, weather.record.complaints.isEmpty, ContinuousClock.now < deadline {
            try await Pause.of(milliseconds: 50)
        }
        #expect(weather.settled == count && weather.record.complaints == [], sourceLocation: sourceLocation)
    }
}
