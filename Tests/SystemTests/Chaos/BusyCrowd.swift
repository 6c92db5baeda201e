import HeliographClient
import HistoryChecker
import LocalMesh
import MeshCore
import SwiftProtobuf
import Synchronization
import Testing
import Wire

/// Very many readers of one room, of whom little is kept: what came, in which order, and when.
final class BusyCrowd: Sendable {
    private static let atOnce = 50

    let room: String
    private let members = Mutex<[BusyReader]>([])
    private let sendings = Mutex<[ContinuousClock.Instant]>([])

    var readers: [BusyReader] { members.withLock { $0 } }

    static func gather(_ count: Int, at node: LocalMesh.Node, in room: String) async throws -> BusyCrowd {
        let crowd = BusyCrowd(room)
        for begun in stride(from: 0, to: count, by: atOnce) {
            try await withThrowingTaskGroup(of: BusyReader.self) { group in
                for _ in begun..<min(count, begun + atOnce) { group.addTask { try await BusyReader.connect(node, in: room) } }
                for try await reader in group { crowd.members.withLock { $0.append(reader) } }
            }
        }
        return crowd
    }

    private init(_ room: String) { self.room = room }

    func sent(_ time: ContinuousClock.Instant) { sendings.withLock { $0.append(time) } }
    var lagsSoFar: Int { sendings.withLock { $0.count } }
    var allHaveTheLast: Bool {
        let count = lagsSoFar
        return readers.allSatisfy { $0.seen.count >= count }
    }

    /// Of all deliveries of the messages from that number on.
    func lags(after mark: Int) -> [Duration] {
        let sent = sendings.withLock { $0 }
        return readers.flatMap { reader in zip(reader.seen.times, sent).dropFirst(mark).map { $0 - $1 } }
    }

    func leave() async {
        for reader in readers { await reader.client.drop() }
    }
}

/// One of them.
final class BusyReader: Sendable {
    struct Seen: Sendable {
        var times: [ContinuousClock.Instant] = []
        var last = Position.zero
        var isInOrder = true
        var isSubscribed = false
        var count: Int { times.count }
    }

    let client: TestClient
    private let log: SeenLog
    var seen: Seen { log.seen.withLock { $0 } }

    private final class SeenLog: Sendable {
        let seen = Mutex(Seen())

        func hear(_ frames: [RelayServerFrame]) {
            let now = ContinuousClock.now
            seen.withLock { seen in
                for frame in frames {
                    switch frame.frame {
                    case .subscribed: seen.isSubscribed = true
                    case .message(let message):
                        let position = Position(message.position)
                        if !seen.last.isFollowed(by: position) { seen.isInOrder = false }
                        seen.last = position
                        seen.times.append(now)
                    case .gap: seen.isInOrder = false
                    default: break
                    }
                }
            }
        }
    }

    static func connect(_ node: LocalMesh.Node, in room: String) async throws -> BusyReader {
        let user = MeshUnderTest.unique("busy")
        let log = SeenLog()
        let client = try await TestClient.open(node, user: user, encoding: .protobuf, tap: { log.hear($0) })
        let token = try await MeshUnderTest.current.token(user)
        _ = try client.post([.hello(.with { $0.token = token }), .subscribe(.with { $0.room = room })])
        try await eventually("\(user) reads", within: .seconds(30)) { log.seen.withLock { $0.isSubscribed } }
        return BusyReader(client, log)
    }

    private init(_ client: TestClient, _ log: SeenLog) { (self.client, self.log) = (client, log) }
}
