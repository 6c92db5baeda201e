import FaultProxy
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// A region whose links are down while a room is deleted.
@Suite("Deletions that are missed", .serialized, .mesh(linkProxies: true), .timeLimit(.minutes(2))) struct MissedDeletionTests {
    @Test("a region that was cut off during a deletion makes up for it when it is back") func cutOff() async throws {
        let mesh = try MeshUnderTest.current
        let room = MeshUnderTest.unique("us-east/missed")
        let (away, here) = (
            try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("away")),
            try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("here"))
        )
        for client in [away, here] { try await client.subscribe(room) }
        let last = try await here.publish(room, "old", key: "old").position
        _ = try await away.messages(room, until: "old")
        try await away.done(.receipt(.with { ($0.room, $0.position, $0.kind) = (room, last, .read) }))
        let redis = try #require(try await mesh.region("us-east").redis).url
        let receipts = "hg:receipts:{\(room)}:\(room)"
        try await eventually("the receipt is stored") { try await Program.redis(redis, "HEXISTS", receipts, away.user) == "1" }

        try await mesh.local.isolate(RegionID("eu-west"), by: .reset)
        let operations = try await mesh.node("us-east").operationsURL
        let report = try await Operations.delete("\(operations)/v1/rooms/\(room)", status: 503)
        #expect(report.missing.map(\.region) == ["eu-west"])
        _ = try await here.unsubscribed(from: room)
        try await mesh.local.healLinks()

        let ended = try await away.wait("the end of its subscription", within: .seconds(30)) { frames in
            frames.lazy.compactMap { frame -> RelayError? in
                guard case .unsubscribed(let ended) = frame.frame, ended.room == room else { return nil }
                return ended.error
            }.first
        }
        #expect(ended.code == .notFound)
        // Nothing of what was deleted is shown there, and her receipt is not stored again, which is written after the repeat of it.
        let again = try await away.subscribe(room, from: .last(10))
        #expect(again.replayed == 0 && again.recovered)
        try await here.subscribe(room)
        let new = try await here.publish(room, "new", key: "new").position
        #expect(try await away.messages(room, until: "new").map(\.text) == ["old", "new"], "old was seen before, and once")
        try await here.done(.receipt(.with { ($0.room, $0.position, $0.kind) = (room, new, .read) }))
        try await eventually("a new receipt is stored") { try await Program.redis(redis, "HEXISTS", receipts, here.user) == "1" }
        #expect(try await Program.redis(redis, "HEXISTS", receipts, away.user) == "0")
        for client in [away, here] { await client.close() }
    }
}
