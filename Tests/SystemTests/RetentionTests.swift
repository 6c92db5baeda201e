import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

/// Rooms that keep little, by their names and placements.
@Suite(
    "Retention", .serialized,
    .mesh(
        meshYAML: """
            retention:
              default: {messages: 1000}
              placements:
                us-east: {bytes: 64KiB}
              rooms:
                - {match: "eu-west/few-*", messages: 5}
                - {match: "ap-south/short-*", age: 3s}
            """), .timeLimit(.minutes(2)))
struct RetentionTests {
    let mesh: MeshUnderTest

    init() throws { mesh = try .current }

    private func connect(_ region: String) async throws -> TestClient {
        try await TestClient.connect(mesh.node(region), as: MeshUnderTest.unique("writer"))
    }

    @Test("by count, for the rooms that a pattern names and no others") func count() async throws {
        let client = try await connect("ap-south")
        for (room, kept) in [(MeshUnderTest.unique("eu-west/few-"), 5), (MeshUnderTest.unique("eu-west/many-"), 12)] {
            for n in 0..<12 { try await client.publish(room, "\(n)") }
            #expect(try await client.history(room).messages.map(\.text) == (12 - kept..<12).map { "\($0)" })
        }
        await client.close()
    }

    @Test("by bytes, for the rooms of a placement") func bytes() async throws {
        let client = try await connect("eu-west")
        let (small, large) = (MeshUnderTest.unique("us-east/room"), MeshUnderTest.unique("eu-west/room"))
        let text = String(repeating: "x", count: 20_000)
        for room in [small, large] {
            for n in 0..<6 { try await client.publish(room, "\(n)" + text) }
        }
        #expect(try await client.history(small).messages.map { $0.text.prefix(1) } == ["3", "4", "5"])
        #expect(try await client.history(large).messages.count == 6)
        // Larger than the bound alone: the newest one stays.
        await client.close()
    }

    @Test("by age: what is too old is shown to nobody, whether or not something is appended") func age() async throws {
        let client = try await connect("us-east")
        let room = MeshUnderTest.unique("ap-south/short-")
        let first = try await client.publish(room, "first")
        #expect(try await client.history(room).messages.map(\.text) == ["first"])
        try await eventually("the only message is gone") { try await client.history(room).messages.isEmpty }
        let second = try await client.publish(room, "second")
        #expect(second.position.seq == first.position.seq + 1)
        try await eventually("half of its time is over") { Clock.milliseconds() - second.at > 1_500 }
        try await client.publish(room, "third")
        try await eventually("the older one is gone") { try await client.history(room).messages.map(\.text) == ["third"] }
        await client.close()
    }
}

private enum Clock {
    static func milliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}
