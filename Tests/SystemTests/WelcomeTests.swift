import HeliographClient
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension QuietMesh {
    /// What a welcome says of the rooms that are resumed.
    @Suite struct WelcomeTests {
        @Test("rooms that are known at once do not hide the others", arguments: FrameEncoding.webSocket)
        func everyRoomIsNamed(encoding: FrameEncoding) async throws {
            let mesh = try MeshUnderTest.current
            let node = try await mesh.node("eu-west")
            let rooms = (0..<8).map { _ in MeshUnderTest.unique("us-east/known") }
            // They live on both cells of the node, and whoever comes back has missed nothing.
            var heads: [String: RelayPosition] = [:]
            var stayers: [TestClient] = []
            for n in 0..<4 {
                let client = try await TestClient.connect(node, as: MeshUnderTest.unique("stayer"))
                for room in rooms {
                    try await client.subscribe(room)
                    if n == 0 { heads[room] = try await client.publish(room, "one").position }
                }
                stayers.append(client)
            }
            for _ in 0..<4 {
                let user = MeshUnderTest.unique("back")
                let client = try await TestClient.open(node, user: user, encoding: encoding)
                let token = try await mesh.token(user)
                let hello = RelayHello.with {
                    $0.token = token
                    $0.resume = rooms.map { room in .with { ($0.room, $0.position) = (room, heads[room] ?? RelayPosition(.zero)) } }
                }
                guard case .welcome(let welcome) = try await client.ask(.hello(hello)) else { throw SystemTestError("no welcome") }
                #expect(welcome.resumed.map(\.room) == rooms)
                #expect(welcome.resumed.allSatisfy { $0.pending || ($0.recovered && $0.head == heads[$0.room]) }, "\(welcome)")
                await client.close()
            }
            for client in stayers { await client.close() }
        }
    }
}
