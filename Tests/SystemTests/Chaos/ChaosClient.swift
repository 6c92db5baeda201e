import HistoryChecker
import LocalMesh
import MeshCore
import Synchronization
import Wire

/// A client that writes and reads in some rooms, comes and goes, and logs what the wire said: nothing is repaired or hidden on the way.
final class ChaosClient: Sendable {
    struct Habits: Sendable {
        /// A message every so often, on average; nil for a reader.
        var publishEveryMilliseconds: Int? = 400
        /// The connection is changed every so often, on average; nil for one that stays for as long as it can.
        var moveEveryMilliseconds: Int? = 2_000
        /// How many of a hundred returns begin anew, with what comes from then on.
        var freshPercent = 5
    }

    let user: String
    let habits: Habits
    let log: ChaosLog
    let mesh: MeshUnderTest
    private let token: String
    let state: Mutex<ChaosClientState>

    init(
        user: String, reads: [String], writes: [String], habits: Habits, seed: UInt64, log: ChaosLog, mesh: MeshUnderTest
    ) async throws {
        (self.user, self.habits, self.log, self.mesh) = (user, habits, log, mesh)
        token = try await mesh.token(user)
        state = Mutex(ChaosClientState(user: user, reads: reads, writes: writes, log: log, random: SeededRandom(seed: seed)))
    }

    private static let tickMilliseconds = 40

    /// Lives until it is stopped.
    func run() async throws {
        while !state.withLock({ $0.isStopped }) {
            let connection = state.withLock { $0.connection }
            if let connection, connection.recorder.record.isClosed { lost(connection) }
            if connection == nil { try await connect() } else if chance(habits.moveEveryMilliseconds) { try await move() }
            speak()
            try await Pause.of(milliseconds: Self.tickMilliseconds)
        }
        for connection in state.withLock({ $0.takeConnections() }) { await connection.drop() }
    }

    /// No new messages and no moves from here on; what is begun is brought to its end.
    func calm() { state.withLock { $0.isCalm = true } }
    func stop() { state.withLock { $0.isStopped = true } }

    var hasSaidAll: Bool { state.withLock { $0.outboxes.values.allSatisfy(\.isEmpty) } }

    /// Every room that it reads has begun, on the connection that stands.
    var isReading: Bool { state.withLock { $0.places.values.allSatisfy(\.isLive) } }
    var lastAcknowledged: Position { state.withLock { $0.lastAcknowledged } }

    /// Connects there from now on, with a receive buffer of that size.
    func settle(at node: NodeID, receiveBytes: Int) {
        state.withLock { ($0.target, $0.receiveBytes) = (node, receiveBytes) }
    }

    func stopReading() async throws { try await state.withLock { $0.connection }?.stopReading() }
    func resumeReading() async throws { try await state.withLock { $0.connection }?.resumeReading() }

    /// Says one thing more in one of its rooms.
    func say() { state.withLock { $0.compose() } }

    /// Whether it has read a room up to `head`.
    func hasReached(_ head: Position, in room: String) -> Bool {
        state.withLock { state in state.places[room].map { ($0.cursor ?? .zero) >= head } ?? true }
    }

    private func chance(_ everyMilliseconds: Int?) -> Bool {
        guard let everyMilliseconds else { return false }
        return state.withLock { state in
            !state.isCalm && Int.random(in: 0..<everyMilliseconds, using: &state.random) < Self.tickMilliseconds
        }
    }

    // MARK: Coming and going

    private func connect() async throws {
        let (target, receiveBytes) = state.withLock { ($0.target, $0.receiveBytes) }
        let nodes = await mesh.nodes.filter { $0.isRunning && (target == nil || $0.node == target) }
        guard let node = state.withLock({ nodes.randomElement(using: &$0.random) }) else { return }
        let generation = state.withLock { $0.nextGeneration() }
        let encoding = FrameEncoding.webSocket[Int(generation % 2)]
        let tap: @Sendable ([RelayServerFrame]) -> Void = { [weak self] frames in
            self?.state.withLock { $0.hear(frames, generation: generation) }
        }
        guard
            let client = try? await TestClient.open(
                node, user: user, encoding: encoding, receiveBytes: receiveBytes, tap: tap)
        else { return }
        state.withLock { state in
            let isFresh = Int.random(in: 0..<100, using: &state.random) < habits.freshPercent
            let hello = state.begin(client, generation, token: token, node: node.node.name, isFresh: isFresh)
            try? client.send([hello])
        }
    }

    private enum Manner: CaseIterable { case goodbye, loss, takeover }

    /// Leaves in one manner or another for somewhere else.
    ///
    /// - Parameter target: where it stays from then on; nil for anywhere.
    func move(to target: NodeID? = nil) async throws {
        let (manner, connection) = state.withLock { state in
            state.target = target
            return (Manner.allCases.randomElement(using: &state.random) ?? .loss, state.connection)
        }
        guard let connection else { return }
        switch manner {
        case .goodbye:
            state.withLock { $0.end(connection, "said goodbye", isClean: true) }
            await connection.close()
        case .loss:
            state.withLock { $0.end(connection, "dropped", isClean: false) }
            await connection.drop()
        case .takeover:
            // The old connection stays until the relay closes it.
            try await connect()
        }
    }

    private func lost(_ connection: TestClient) {
        let record = connection.recorder.record
        state.withLock { $0.end(connection, "closed by the relay: \(record.closeCode ?? 1006) \(record.closeReason)", isClean: false) }
    }

    // MARK: Speaking

    private func speak() {
        let speaks = chance(habits.publishEveryMilliseconds)
        state.withLock { state in
            if speaks { state.compose() }
            let frames = state.takeFrames(now: .now)
            if !frames.isEmpty { try? state.connection?.send(frames) }
        }
    }
}
