import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// What an observer was told of a user in a room, in order.
private func said(of user: String, in room: String, to observer: TestClient, after mark: Int) -> [String] {
    var told: [String] = []
    for frame in observer.recorder.record.frames.dropFirst(mark) where frame.roomPresence.room == room {
        if frame.roomPresence.joined.contains(where: { $0.user == user }) { told.append("joined") }
        for member in frame.roomPresence.updated where member.user == user { told.append("updated \(member.status) \(member.devices)") }
        if frame.roomPresence.left.contains(user) { told.append("left") }
    }
    return told
}

extension QuietMesh {
    /// A session that goes on over another connection, and one that does not come back.
    @Suite struct TakeoverTests {
        let mesh: MeshUnderTest
        let room: String
        let alice: String

        init() throws {
            mesh = try .current
            room = MeshUnderTest.unique("ap-south/takeover")
            alice = MeshUnderTest.unique("alice")
        }

        private func observe() async throws -> TestClient {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("observer"))
            try await observer.subscribe(room, presence: true)
            _ = try await observer.watch([alice])
            return observer
        }

        private func enter(_ observer: TestClient, region: String = "eu-west") async throws -> TestClient {
            let client = try await TestClient.connect(mesh.node(region), as: alice)
            try await client.subscribe(room)
            _ = try await observer.roomPresence("alice joined", room, after: 0) { [alice] in $0.joined.map(\.user) == [alice] }
            _ = try await observer.userPresence(of: alice, .online, devices: 1, after: 0)
            return client
        }

        /// Whatever was under way when a session was taken over is over.
        private func settle(_ observer: TestClient) async throws {
            let other = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("other"))
            try await other.subscribe(room)
            _ = try await observer.roomPresence("another joined", room, after: 0) { $0.joined.map(\.user) == [other.user] }
            await other.close()
            _ = try await observer.roomPresence("another left", room, after: 0) { $0.left == [other.user] }
        }

        @Test(
            "P7: a client that loses its connection and goes on elsewhere within the grace period is never seen to leave",
            arguments: ["eu-west", "us-east", "ap-south"])
        func goesOn(in region: String) async throws {
            let observer = try await observe()
            let client = try await enter(observer)
            let first = try await client.welcome
            let mark = observer.mark
            await client.drop()
            let back = try await TestClient.connect(mesh.node(region), as: alice, session: first.session)
            try await back.subscribe(room)
            let second = try await back.welcome
            #expect(second.device == first.device && second.session != first.session && !second.session.isEmpty)
            // Longer than the hand-over, and then another change of the same room.
            try await eventually("the old owner let go", within: .seconds(5)) {
                try await observer.members(room).members.first { $0.user == alice }?.devices == 1
            }
            try await settle(observer)
            #expect(said(of: alice, in: room, to: observer, after: mark) == [])
            #expect(!observer.recorder.record.frames.dropFirst(mark).contains { $0.userPresence.user == alice })
            try await back.setPresence(.busy)
            _ = try await observer.roomPresence("busy", room, after: mark) { $0.updated.first?.status == .busy }
            #expect(said(of: alice, in: room, to: observer, after: mark) == ["updated busy 1"])
            await back.close()
            _ = try await observer.roomPresence("left", room, after: mark) { [alice] in $0.left == [alice] }
            await observer.close()
        }

        @Test("a connection that is still open when its session goes on gets 4504", arguments: ["eu-west", "ap-south"])
        func oldTransport(region: String) async throws {
            let observer = try await observe()
            let client = try await enter(observer)
            let mark = observer.mark
            let session = try await client.welcome.session
            let back = try await TestClient.connect(mesh.node(region), as: alice, status: .away, session: session)
            try await back.subscribe(room)
            let goodbye = try await client.goodbye()
            #expect(goodbye.code == 4504 && !goodbye.reconnect)
            #expect(await client.closeCode() == 4504)
            _ = try await observer.roomPresence("away", room, after: mark) { $0.updated.first?.status == .away }
            try await settle(observer)
            #expect(said(of: alice, in: room, to: observer, after: mark) == ["updated away 1"])
            // The new transport lives.
            try await back.ping()
            await back.close()
            _ = try await observer.roomPresence("left", room, after: mark) { [alice] in $0.left == [alice] }
            await observer.close()
        }

        @Test("chains, and takeovers by an old name: the last one has the session alone") func chain() async throws {
            let observer = try await observe()
            let first = try await enter(observer)
            let mark = observer.mark
            let name = try await first.welcome.session
            let second = try await TestClient.connect(mesh.node("us-east"), as: alice, session: name)
            try await second.subscribe(room)
            #expect(try await first.goodbye().code == 4504)
            // By the name that the first one had: its owner knows who has the session now.
            let third = try await TestClient.connect(mesh.node("ap-south"), as: alice, session: name)
            try await third.subscribe(room)
            #expect(try await second.goodbye().code == 4504)
            let fourth = try await TestClient.connect(mesh.node("eu-west"), as: alice, session: third.welcome.session)
            try await fourth.subscribe(room)
            #expect(try await third.goodbye().code == 4504)
            try await settle(observer)
            #expect(said(of: alice, in: room, to: observer, after: mark) == [])
            #expect(try await observer.watch([alice]).first?.devices == 1)
            await fourth.close()
            _ = try await observer.roomPresence("left", room, after: mark) { [alice] in $0.left == [alice] }
            await observer.close()
        }

        @Test("a lost connection is shown for the grace period, and no longer") func lost() async throws {
            let observer = try await observe()
            let client = try await enter(observer)
            let mark = observer.mark
            let begun = ContinuousClock.now
            await client.drop()
            let left = try await observer.roomPresence("left", room, after: mark) { !$0.left.isEmpty }
            #expect(left.left == [alice] && left.count == 1)
            // Not before the grace period, whatever the machine does meanwhile.
            #expect(ContinuousClock.now - begun > .seconds(4))
            _ = try await observer.userPresence(of: alice, .offline, devices: 0, after: mark)
            #expect(said(of: alice, in: room, to: observer, after: mark) == ["left"])
            await observer.close()
        }

        @Test("the goodbye frame is a clean close") func goodbyeFrame() async throws {
            let observer = try await observe()
            let client = try await enter(observer)
            let mark = observer.mark
            let begun = ContinuousClock.now
            try client.post(.goodbye(.init()))
            _ = try await observer.roomPresence("left", room, after: mark) { [alice] in $0.left == [alice] }
            #expect(ContinuousClock.now - begun < .seconds(2))
            await client.close()
            await observer.close()
        }

        @Test("a session text that is not one, or another user's, is refused") func refused() async throws {
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            let session = try await client.welcome.session
            let forged = String(session.dropLast(4)) + (session.hasSuffix("AAAA") ? "BBBB" : "AAAA")
            for (user, text) in [(alice, "nonsense"), (alice, forged), ("not-\(alice)", session)] {
                let thief = try await TestClient.open(mesh.node("us-east"), user: user)
                let token = try await mesh.token(user)
                let error = try await thief.error(
                    of: .hello(.with { ($0.token, $0.session, $0.status) = (token, text, .online) }))
                #expect(error.code == .invalidArgument && error.message.contains("session"), "\(error.message)")
                #expect(await thief.closeCode() == 4500)
            }
            try await client.ping()
            await client.close()
        }

        @Test("P7: typing of a lost session ends at once, though it is still shown") func typing() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("observer"))
            try await observer.subscribe(room, presence: true, typing: true)
            _ = try await observer.watch([alice])
            let client = try await enter(observer)
            try await client.setTyping(room, true)
            try await observer.typing(of: alice, in: room, active: true, after: 0)
            let mark = observer.mark
            await client.drop()
            try await observer.typing(of: alice, in: room, active: false, after: mark)
            #expect(said(of: alice, in: room, to: observer, after: mark) == [])
            await observer.close()
        }
    }
}
