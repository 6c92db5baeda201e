import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension QuietMesh {
    /// Two users in two regions, in a room that is homed in the third.
    @Suite struct ConversationTests {
        let mesh: MeshUnderTest
        let room: String
        let alice: String
        let bob: String

        init() throws {
            mesh = try .current
            room = MeshUnderTest.unique("ap-south/lobby")
            alice = MeshUnderTest.unique("alice")
            bob = MeshUnderTest.unique("bob")
        }

        private func pair(_ encoding: FrameEncoding = .json) async throws -> (TestClient, TestClient) {
            (
                try await TestClient.connect(mesh.node("eu-west"), as: alice, encoding: encoding),
                try await TestClient.connect(mesh.node("us-east"), as: bob, encoding: encoding)
            )
        }

        @Test("welcome says who, where and what is home") func welcome() async throws {
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice, device: "phone", heartbeatSeconds: 40)
            let welcome = try await client.wait("welcome") { frames in frames.first.map(\.welcome) }
            let route: Route = try await HTTP.json("\(mesh.node("ap-south").clientURL)/v1/route?user=\(alice)")
            #expect(welcome.user == alice && welcome.device == "phone" && welcome.region == "eu-west" && welcome.node == "eu-west-0")
            #expect(welcome.home.region == route.home && Int(welcome.home.shard) == route.shard)
            #expect(welcome.heartbeatSeconds == 40 && welcome.maxFrameBytes == 65_536 && welcome.session.count >= 16)
            await client.close()
        }

        @Test("P1, P3: messages arrive once, in order, at their positions", arguments: FrameEncoding.webSocket)
        func messages(encoding: FrameEncoding) async throws {
            let (alice, bob) = try await pair(encoding)
            for client in [alice, bob] {
                let subscribed = try await client.subscribe(room)
                #expect(subscribed.head == RelayPosition.with { ($0.epoch, $0.seq) = (subscribed.head.epoch, 0) })
            }
            var published: [RelayPublished] = []
            for n in 0..<3 { published.append(try await alice.publish(room, "text \(n)", key: "k\(n)")) }
            let ephemeral = try await bob.publish(room, "whisper", key: "e", durability: .ephemeral)
            let again = try await alice.publish(room, "other text", key: "k1")
            try await bob.publish(room, "the end", key: "end")

            #expect(published.map(\.position.seq) == [1, 2, 3] && Set(published.map(\.position.epoch)).count == 1)
            #expect(published.allSatisfy { !$0.duplicate && $0.durability == .home && $0.at > 1_600_000_000_000 })
            #expect(zip(published, published.dropFirst()).allSatisfy { $0.at <= $1.at })
            #expect(!ephemeral.hasPosition && ephemeral.durability == .ephemeral)
            #expect(again.duplicate && again.position == published[1].position && again.at == published[1].at)

            for client in [alice, bob] {
                let seen = try await client.messages(room, until: "end")
                let durable = seen.filter(\.hasPosition)
                #expect(durable.map(\.key) == ["k0", "k1", "k2", "end"])
                #expect(durable.map(\.position.seq) == [1, 2, 3, 4])
                #expect(durable.map(\.text) == ["text 0", "text 1", "text 2", "the end"])
                #expect(durable.prefix(3).map(\.at) == published.map(\.at))
                #expect(durable.prefix(3).allSatisfy { $0.from == alice.user } && durable.last?.from == bob.user)
                #expect(seen.filter { !$0.hasPosition }.map(\.key) == ["e"])
            }
            await alice.close()
            await bob.close()
        }

        @Test("data, content type and headers come as they were sent; an absent key is made") func content() async throws {
            let (alice, bob) = try await pair()
            try await bob.subscribe(room)
            let bytes = Data((0...255).map { UInt8($0) })
            let reply = try await alice.ask(
                .publish(
                    .with {
                        $0.room = room
                        $0.data = bytes
                        $0.contentType = "image/x"
                        $0.headers = ["a": "1", "ß": "\"\n\u{1F600}"]
                    }))
            guard case .published(let published) = reply else { throw SystemTestError("\(reply)") }
            #expect(!published.key.isEmpty)
            let message = try #require(try await bob.messages(room, until: published.key).first)
            #expect(message.data == bytes && message.contentType == "image/x")
            #expect(message.headers == ["a": "1", "ß": "\"\n\u{1F600}"])
            await alice.close()
            await bob.close()
        }

        @Test("history pages both ways") func history() async throws {
            let (alice, bob) = try await pair()
            var positions: [RelayPosition] = []
            for n in 0..<5 { positions.append(try await alice.publish(room, "\(n)", key: "k\(n)").position) }
            func page(_ history: RelayHistory) -> [String] { history.messages.map(\.text) + [history.more ? "more" : "all"] }
            #expect(page(try await bob.history(room)) == ["0", "1", "2", "3", "4", "all"])
            #expect(page(try await bob.history(room, limit: 2)) == ["3", "4", "more"])
            #expect(page(try await bob.history(room, before: positions[3], limit: 2)) == ["1", "2", "more"])
            #expect(page(try await bob.history(room, before: positions[2], limit: 2)) == ["0", "1", "all"])
            #expect(page(try await bob.history(room, after: positions[0], limit: 2)) == ["1", "2", "more"])
            #expect(page(try await bob.history(room, after: positions[2], limit: 2)) == ["3", "4", "all"])
            #expect(page(try await bob.history(room, after: positions[4])) == ["all"])
            let whole = try await bob.history(room)
            #expect(whole.messages.map(\.position) == positions && whole.messages.allSatisfy { $0.from == alice.user })
            await alice.close()
            await bob.close()
        }

        @Test("an inbox is read by its owner and written by others") func inbox() async throws {
            let (alice, bob) = try await pair()
            try await alice.subscribe("@\(alice.user)")
            let published = try await bob.publish("@\(alice.user)", "psst")
            #expect(try await alice.messages("@\(alice.user)", until: published.key).map(\.text) == ["psst"])
            await alice.close()
            await bob.close()
        }
    }
}
