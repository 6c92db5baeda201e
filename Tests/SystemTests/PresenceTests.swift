import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension QuietMesh {
    /// Who is there, how and on how many devices, seen from another region than she is in and the room is homed in.
    @Suite struct PresenceTests {
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

        @Test("P7: joined, updated and left are seen, the last within 2 s of a clean close") func roomPresence() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: bob)
            #expect(try await observer.subscribe(room, presence: true).members.map(\.user) == [bob])
            var mark = observer.mark
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            let subscribed = try await client.subscribe(room, presence: true)
            #expect(subscribed.members.map(\.user).sorted() == [alice, bob] && subscribed.memberCount == 2)

            let joined = try await observer.roomPresence("alice joined", room, after: mark) { [alice] in
                $0.joined.contains { $0.user == alice }
            }
            let member = try #require(joined.joined.first { $0.user == alice })
            #expect(member.status == .online && member.devices == 1 && member.note.isEmpty && joined.count == 2 && joined.left.isEmpty)

            mark = observer.mark
            try await client.setPresence(.busy, note: "focus")
            let updated = try await observer.roomPresence("alice updated", room, after: mark) { !$0.updated.isEmpty }
            #expect(updated.updated.map(\.user) == [alice] && updated.updated[0].status == .busy && updated.updated[0].note == "focus")
            #expect(updated.left.isEmpty && updated.joined.isEmpty && updated.count == 2)

            mark = observer.mark
            try await client.done(.unsubscribe(.with { $0.room = room }))
            let left = try await observer.roomPresence("alice left", room, after: mark) { !$0.left.isEmpty }
            #expect(left.left == [alice] && left.joined.isEmpty && left.count == 1)

            mark = observer.mark
            try await client.subscribe(room)
            _ = try await observer.roomPresence("alice joined again", room, after: mark) { [alice] in $0.joined.map(\.user) == [alice] }
            mark = observer.mark
            let begun = ContinuousClock.now
            await client.close()
            let gone = try await observer.roomPresence("alice gone", room, after: mark) { !$0.left.isEmpty }
            #expect(gone.left == [alice] && gone.count == 1)
            #expect(ContinuousClock.now - begun < .seconds(2))
            await observer.close()
        }

        @Test("a second subscribe changes the flags and is no join") func subscribeTwice() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: bob)
            try await observer.subscribe(room, presence: true)
            let mark = observer.mark
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            #expect(try await client.subscribe(room).members.isEmpty)
            _ = try await observer.roomPresence("alice joined", room, after: mark) { [alice] in $0.joined.map(\.user) == [alice] }
            let after = observer.mark
            let clientMark = client.mark
            #expect(try await client.subscribe(room, presence: true).members.map(\.user) == [alice, bob])
            try await client.setPresence(.away)
            let next = try await observer.roomPresence("the next change", room, after: after) { _ in true }
            #expect(next.joined.isEmpty && next.left.isEmpty && next.updated.map(\.user) == [alice])
            _ = try await client.roomPresence("her own change", room, after: clientMark) { [alice] in $0.updated.map(\.user) == [alice] }
            await client.close()
            await observer.close()
        }

        @Test("members come in pages") func membersPages() async throws {
            var clients: [TestClient] = []
            for n in 0..<5 {
                let region = MeshUnderTest.regions[n % 3]
                let client = try await TestClient.connect(mesh.node(region), as: "m\(n)-\(alice)")
                try await client.subscribe(room)
                clients.append(client)
            }
            let asker = clients[1]
            try await eventually("five members") { try await asker.members(room).count == 5 }
            var pages: [[String]] = []
            var after = ""
            repeat {
                let page = try await asker.members(room, after: after, limit: 2)
                #expect(page.count == 5)
                pages.append(page.members.map(\.user))
                after = page.next
            } while !after.isEmpty && pages.count < 9
            #expect(pages == [["m0", "m1"], ["m2", "m3"], ["m4"]].map { $0.map { "\($0)-\(alice)" } })
            for client in clients { await client.close() }
        }

        @Test("an invisible user is no member and cannot be seen") func invisible() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: bob)
            try await observer.subscribe(room, presence: true, typing: true)
            #expect(try await observer.watch([alice]).map(\.status) == [.offline])
            let mark = observer.mark
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice, status: .invisible)
            try await client.subscribe(room, presence: true)
            try await client.setTyping(room, true)
            #expect(try await client.members(room).members.map(\.user) == [bob])
            let other = try await TestClient.connect(mesh.node("eu-west"), as: "z\(alice)")
            try await other.subscribe(room)
            let next = try await observer.roomPresence("the next join", room, after: mark) { _ in true }
            #expect(next.joined.map(\.user) == ["z\(alice)"] && next.count == 2)
            #expect(!observer.recorder.record.frames.contains { $0.userPresence.user == alice || $0.typing.user == alice })
            // Showing herself is a join.
            let shown = observer.mark
            try await client.setPresence(.online)
            _ = try await observer.roomPresence("alice joined", room, after: shown) { [alice] in $0.joined.map(\.user) == [alice] }
            _ = try await observer.userPresence(of: alice, .online, after: shown)
            for client in [client, other, observer] { await client.close() }
        }

        @Test("watch tells of a user's status and last-seen; unwatch ends it") func watch() async throws {
            let observer = try await TestClient.connect(mesh.node("us-east"), as: bob)
            let control = try await TestClient.connect(mesh.node("us-east"), as: "control-\(bob)")
            let nobody = "nobody-\(alice)"
            let states = try await observer.watch([alice, nobody])
            #expect(
                states.map(\.user) == [alice, nobody] && states.allSatisfy { $0.status == .offline && $0.devices == 0 && $0.lastSeen == 0 })
            _ = try await control.watch([alice])

            let start = Int64(Date().timeIntervalSince1970 * 1000)
            var mark = observer.mark
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            #expect(try await observer.userPresence(of: alice, .online, after: mark).devices == 1)
            try await client.setPresence(.away)
            _ = try await observer.userPresence(of: alice, .away, devices: 1, after: mark)
            mark = observer.mark
            let begun = ContinuousClock.now
            await client.close()
            let offline = try await observer.userPresence(of: alice, .offline, devices: 0, after: mark)
            #expect(ContinuousClock.now - begun < .seconds(2))
            #expect(offline.lastSeen >= start - 1_000 && offline.lastSeen <= Int64(Date().timeIntervalSince1970 * 1000) + 1_000)
            #expect(try await observer.watch([alice]).first?.lastSeen == offline.lastSeen)

            try await observer.done(.unwatch(.with { $0.users = [alice, "unknown"] }))
            mark = observer.mark
            let controlMark = control.mark
            let back = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            _ = try await control.userPresence(of: alice, .online, after: controlMark)
            try await observer.ping()
            #expect(!observer.recorder.record.frames.dropFirst(mark).contains { $0.userPresence.user == alice })
            for client in [back, observer, control] { await client.close() }
        }

        @Test("two devices in two regions are one user: the busiest status, and leaving with one is an update") func devices() async throws
        {
            let observer = try await TestClient.connect(mesh.node("ap-south"), as: bob)
            try await observer.subscribe(room, presence: true)
            _ = try await observer.watch([alice])
            var mark = observer.mark
            let phone = try await TestClient.connect(mesh.node("eu-west"), as: alice, device: "phone")
            try await phone.subscribe(room)
            _ = try await observer.roomPresence("joined", room, after: mark) { [alice] in $0.joined.map(\.user) == [alice] }
            _ = try await observer.userPresence(of: alice, .online, devices: 1, after: mark)

            mark = observer.mark
            let laptop = try await TestClient.connect(mesh.node("us-east"), as: alice, device: "laptop", status: .busy)
            try await laptop.subscribe(room)
            func updated(_ status: RelayStatus, devices: UInt32) async throws {
                let change = try await observer.roomPresence("\(status), \(devices)", room, after: mark) { change in
                    change.updated.contains { $0.status == status && $0.devices == devices }
                }
                #expect(change.updated.map(\.user) == [alice] && change.joined.isEmpty && change.left.isEmpty && change.count == 2)
                _ = try await observer.userPresence(of: alice, status, devices: devices, after: mark)
            }
            try await updated(.busy, devices: 2)
            mark = observer.mark
            try await laptop.setPresence(.away)
            try await updated(.online, devices: 2)
            mark = observer.mark
            try await phone.setPresence(.away)
            try await updated(.away, devices: 2)
            mark = observer.mark
            await phone.close()
            try await updated(.away, devices: 1)
            #expect(try await observer.members(room).members.map(\.user).sorted() == [alice, bob])
            mark = observer.mark
            await laptop.close()
            let left = try await observer.roomPresence("left", room, after: mark) { !$0.left.isEmpty }
            #expect(left.left == [alice] && left.count == 1)
            _ = try await observer.userPresence(of: alice, .offline, devices: 0, after: mark)
            #expect(observer.recorder.record.frames.filter { $0.roomPresence.joined.contains { $0.user == alice } }.count == 1)
            await observer.close()
        }

        @Test("two sessions of one device count as one") func oneDeviceTwice() async throws {
            let observer = try await TestClient.connect(mesh.node("ap-south"), as: bob)
            try await observer.subscribe(room, presence: true)
            let mark = observer.mark
            let first = try await TestClient.connect(mesh.node("eu-west"), as: alice, device: "phone")
            try await first.subscribe(room)
            let second = try await TestClient.connect(mesh.node("us-east"), as: alice, device: "phone", status: .busy)
            try await second.subscribe(room)
            _ = try await observer.roomPresence("busy", room, after: mark) { change in
                (change.updated + change.joined).contains { $0.status == .busy && $0.devices == 1 }
            }
            #expect(try await observer.members(room).members.map(\.devices) == [1, 1])
            for client in [first, second, observer] { await client.close() }
        }
    }
}
