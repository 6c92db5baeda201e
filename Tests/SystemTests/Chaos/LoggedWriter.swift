import HistoryChecker
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// Publishes as fast as it is acknowledged, and logs it.
struct LoggedWriter: Sendable {
    private static let batch = 20

    let client: TestClient
    let log: ChaosLog

    init(mesh: MeshUnderTest, region: String, log: ChaosLog) async throws {
        client = try await TestClient.connect(mesh.node(region), as: MeshUnderTest.unique("writer"), encoding: .protobuf)
        self.log = log
    }

    func write(_ count: Int, to room: String, text: String) async throws {
        for _ in stride(from: 0, to: count, by: Self.batch) {
            let keys = (0..<Self.batch).map { _ in MeshUnderTest.unique("key") }
            for key in keys { log.record(.published(client: client.user, room: room, key: key, text: text)) }
            let ids = try keys.map { try client.post(.publish(.text(room, text, key: $0))) }
            for id in ids { try await note(id, room) }
        }
        await client.close()
    }

    /// - Returns: when it was sent, just before it was.
    func write(to room: String) async throws -> ContinuousClock.Instant {
        let key = MeshUnderTest.unique("key")
        log.record(.published(client: client.user, room: room, key: key, text: key))
        let now = ContinuousClock.now
        try await note(client.post(.publish(.text(room, key, key: key))), room)
        return now
    }

    private func note(_ id: UInt32, _ room: String) async throws {
        guard case .published(let published) = try await client.reply(id, within: .seconds(30)) else {
            throw SystemTestError("\(client.user) was refused in \(room)")
        }
        log.record(
            .acknowledged(
                client: client.user, room: room, key: published.key, position: Position(published.position), duplicate: published.duplicate)
        )
    }
}
