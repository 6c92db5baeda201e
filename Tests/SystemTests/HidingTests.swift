import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension QuietMesh {
    /// A user who is invisible on one of her devices.
    @Suite struct HidingTests {
        let mesh: MeshUnderTest
        let room: String
        let alice: String

        init() throws {
            mesh = try .current
            room = MeshUnderTest.unique("ap-south/hiding")
            alice = MeshUnderTest.unique("alice")
        }

        private func isMentioned(in observer: TestClient, after mark: Int) -> Bool {
            observer.recorder.record.frames.dropFirst(mark).contains { frame in
                frame.roomPresence.joined.contains { $0.user == alice } || frame.roomPresence.updated.contains { $0.user == alice }
                    || frame.userPresence.user == alice || frame.typing.user == alice
            }
        }

        /// Whatever was said before has arrived.
        private func settle(_ observer: TestClient) async throws {
            let other = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("other"))
            try await other.subscribe(room)
            _ = try await observer.roomPresence("another joined", room, after: 0) { $0.joined.contains { $0.user == other.user } }
            await other.close()
        }

        @Test("INVISIBLE on one session hides her also where only her other sessions are") func hides() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("observer"))
            try await observer.subscribe(room, presence: true, typing: true)
            _ = try await observer.watch([alice])
            let laptop = try await TestClient.connect(mesh.node("eu-west"), as: alice, device: "laptop")
            try await laptop.subscribe(room)
            _ = try await observer.roomPresence("joined", room, after: 0) { [alice] in $0.joined.map(\.user) == [alice] }
            _ = try await observer.userPresence(of: alice, .online, after: 0)
            var mark = observer.mark
            // The phone is in no room of the laptop.
            let phone = try await TestClient.connect(mesh.node("ap-south"), as: alice, device: "phone", status: .invisible)
            _ = try await observer.roomPresence("hidden", room, after: mark) { [alice] in $0.left == [alice] }
            let offline = try await observer.userPresence(of: alice, .offline, devices: 0, after: mark)
            #expect(try await observer.members(room).members.map(\.user) == [observer.user])
            mark = observer.mark
            try await laptop.setTyping(room, true)
            try await laptop.setPresence(.busy)
            // A session that starts while she hides is not seen for a moment either.
            let tablet = try await TestClient.connect(mesh.node("us-east"), as: alice, device: "tablet")
            try await tablet.subscribe(room)
            try await settle(observer)
            #expect(!isMentioned(in: observer, after: mark))
            // The last-seen time of a user who hides stands still.
            mark = observer.mark
            try await phone.setPresence(.online)
            let back = try await observer.roomPresence("shown again", room, after: mark) { [alice] in $0.joined.map(\.user).contains(alice)
            }
            #expect(back.joined.first { $0.user == alice }?.status == .busy)
            let online = try await observer.userPresence(of: alice, .busy, devices: 3, after: mark)
            #expect(online.lastSeen == offline.lastSeen)
            for client in [phone, tablet, laptop, observer] { await client.close() }
        }

        @Test("the end of an invisible session moves no last-seen") func lastSeen() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("observer"))
            _ = try await observer.watch([alice])
            let visible = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            _ = try await observer.userPresence(of: alice, .online, after: 0)
            let mark = observer.mark
            await visible.close()
            let before = try await observer.userPresence(of: alice, .offline, after: mark)
            #expect(before.lastSeen > 0)
            let hidden = try await TestClient.connect(mesh.node("eu-west"), as: alice, status: .invisible)
            try await hidden.ping()
            await hidden.close()
            // Her home has heard of her end when it shows her next session.
            let again = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            _ = try await eventually("she is shown") { try await observer.watch([alice]).first?.status == .online }
            #expect(try await observer.watch([alice]).first?.lastSeen == before.lastSeen)
            await again.close()
            await observer.close()
        }
    }
}
