import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension QuietMesh {
    /// Well-formed frames that ask for something wrong: an error, and the session lives on.
    @Suite struct RequestTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node
        let client: TestClient
        let room: String

        init() async throws {
            mesh = try .current
            node = try await mesh.node("eu-west")
            client = try await TestClient.connect(node, as: MeshUnderTest.unique("alice"))
            room = MeshUnderTest.unique("ap-south/room")
        }

        private func expect(
            _ code: RelayErrorCode, _ bodies: RelayClientFrame.OneOf_Frame..., from asker: TestClient? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            for body in bodies {
                let error = try await (asker ?? client).error(of: body, sourceLocation: sourceLocation)
                #expect(error.code == code && !error.message.isEmpty, "\(body)", sourceLocation: sourceLocation)
            }
        }

        @Test(
            "ids that break the rules",
            arguments: ["", "$x", "@", "a}b", "{}x", "x{", "a b", "a\tb", "a\u{7}", "a\u{A0}b", String(repeating: "x", count: 256)])
        func roomNames(_ name: String) async throws {
            // An opening brace alone is allowed: only a closing one can leave a tag.
            guard name != "x{" else { return try await expectAllowed(name) }
            try await expect(
                .invalidArgument, .subscribe(.with { $0.room = name }), .unsubscribe(.with { $0.room = name }), .publish(.text(name, "x")),
                .history(.with { $0.room = name }), .members(.with { $0.room = name }),
                .typing(.with { ($0.room, $0.active) = (name, true) }))
            try await client.ping()
            await client.close()
        }

        private func expectAllowed(_ name: String) async throws {
            try await client.subscribe(name)
            await client.close()
        }

        @Test("names at the bounds of the rules", arguments: [String(repeating: "x", count: 255), "a{b}c", "日本/語", "a:b#c?d%e"])
        func goodNames(_ name: String) async throws {
            try await client.subscribe(name)
            let published = try await client.publish(name, "x")
            #expect(try await client.messages(name, until: published.key).count == 1)
            await client.close()
        }

        @Test("arguments out of range") func arguments() async throws {
            let long = String(repeating: "x", count: 300)
            try await expect(
                .invalidArgument, .publish(.text(room, "x", key: String(repeating: "k", count: 129))), .publish(.with { $0.room = room }),
                .publish(.with { ($0.room, $0.text, $0.contentType) = (room, "x", long) }), .presence(.with { $0.status = .offline }),
                .presence(.with { $0.status = .unknown }), .presence(.with { $0.note = long }), .presence(.init()),
                .history(.with { ($0.room, $0.limit) = (room, 1_001) }), .watch(.with { $0.users = ["a b"] }))
            try await expect(.resourceExhausted, .watch(.with { $0.users = (0...1_000).map { "u\($0)" } }))
            try await expect(
                .failedPrecondition, .typing(.with { ($0.room, $0.active) = (room, true) }), .hello(.with { $0.token = "again" }))
            try await client.ping()
            await client.close()
        }

        @Test("what others may not") func permissions() async throws {
            try await expect(.permissionDenied, .subscribe(.with { $0.room = "@bob" }), .history(.with { $0.room = "@bob" }))
            let guest = try await TestClient.connect(node, as: "guest", token: mesh.token("guest", role: .guest))
            try await guest.subscribe(room, presence: true)
            _ = try await guest.history(room)
            try await expect(.permissionDenied, .publish(.text(room, "x")), from: guest)
            let granted = try await TestClient.connect(
                node, as: "granted",
                token: mesh.token(
                    claims: TestClaims(
                        sub: "granted",
                        rooms: [.init(match: "team-*", can: ["subscribe", "publish"]), .init(match: "news", can: ["subscribe"])])))
            try await granted.subscribe("team-a")
            try await granted.publish("team-a", "x")
            try await granted.subscribe("news")
            try await expect(
                .permissionDenied, .publish(.text("news", "x")), .subscribe(.with { $0.room = "other" }),
                .history(.with { $0.room = "team-a" }),
                .members(.with { $0.room = "team-a" }), .subscribe(.with { ($0.room, $0.presence) = ("news", true) }), from: granted)
            try await granted.ping()
            for session in [client, guest, granted] { await session.close() }
        }

        @Test("what is not there yet says so") func unimplemented() async throws {
            try await expect(
                .unimplemented, .refresh(.with { $0.token = "x" }),
                .publish(.text(room, "x", durability: .mesh)))
            try await client.ping()
            await client.close()
        }

        @Test("frames come in batches, and without an id they are not answered") func batches() async throws {
            client.sendText(
                "\n{\"ping\":{}}\n\n{\"id\":90,\"ping\":{}}\r\n{\"unsubscribe\":{\"room\":\"\(room)\"}}\n{\"id\":91,\"ping\":{}}\n")
            _ = try await client.reply(91)
            let pongs = client.recorder.record.frames.dropFirst().map { ($0.id, $0.pong == RelayPong()) }
            #expect(pongs.map(\.0) == [0, 90, 91])
            await client.close()
        }

        @Test("goodbye is a clean close") func goodbye() async throws {
            try client.send([.with { $0.goodbye = .init() }])
            #expect(await client.closeCode() == 1000)
        }
    }
}
