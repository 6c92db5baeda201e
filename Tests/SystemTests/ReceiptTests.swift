import Foundation
import HeliographClient
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// A receipt as a client is told it.
private struct Told: Hashable, Sendable, CustomStringConvertible {
    var user: String
    var kind: RelayReceiptKind
    var seq: UInt64
    var description: String { "\(user) \(kind) \(seq)" }

    init(_ user: String, _ kind: RelayReceiptKind, _ position: RelayPosition) {
        (self.user, self.kind, self.seq) = (user, kind, position.seq)
    }

    init(_ state: RelayReceiptState) { self.init(state.user, state.kind, state.position) }
}

extension TestClient {
    @discardableResult
    fileprivate func follow(
        _ room: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RelaySubscribed {
        let reply = try await ask(.subscribe(.with { ($0.room, $0.receipts) = (room, true) }), sourceLocation: sourceLocation)
        guard case .subscribed(let subscribed) = reply else { throw SystemTestError("\(user) got \(reply)") }
        return subscribed
    }

    fileprivate func confirm(
        _ kind: RelayReceiptKind, _ room: String, _ position: RelayPosition, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await done(.receipt(.with { ($0.room, $0.position, $0.kind) = (room, position, kind) }), sourceLocation: sourceLocation)
    }

    fileprivate func told(_ room: String) -> [Told] {
        recorder.record.frames.compactMap { frame in
            guard case .receipt(let receipt) = frame.frame, receipt.room == room else { return nil }
            return Told(receipt.user, receipt.kind, receipt.position)
        }
    }

    fileprivate func isTold(
        _ user: String, _ kind: RelayReceiptKind, _ position: RelayPosition, in room: String, within limit: Duration = .seconds(10),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let wanted = Told(user, kind, position)
        _ = try await wait("\(wanted) in \(room)", within: limit, sourceLocation: sourceLocation) { frames in
            frames.contains { frame in
                frame.receipt.room == room && Told(frame.receipt.user, frame.receipt.kind, frame.receipt.position) == wanted
            } ? true : nil
        }
    }

    fileprivate func unread(_ rooms: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) async throws -> [RelayRoomUnread] {
        let reply = try await ask(.unread(.with { $0.rooms = rooms }), sourceLocation: sourceLocation)
        guard case .unread(let unread) = reply else { throw SystemTestError("\(user) got \(reply)") }
        return unread.rooms
    }

    fileprivate func unreadCount(_ room: String) async throws -> UInt64? { try await unread([room]).first?.count }
}

extension QuietMesh {
    @Suite struct ReceiptTests {
        let mesh: MeshUnderTest
        let room = MeshUnderTest.unique("receipts")
        let alice: TestClient
        let bob: TestClient

        init() async throws {
            mesh = try .current
            alice = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("alice"))
            bob = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("bob"), encoding: .protobuf)
        }

        private func end(_ others: TestClient...) async { for client in [alice, bob] + others { await client.close() } }

        private func publish(_ count: Int, _ from: TestClient, to room: String) async throws -> [RelayPosition] {
            var positions: [RelayPosition] = []
            for n in 0..<count { positions.append(try await from.publish(room, "\(n)").position) }
            return positions
        }

        @Test("delivered and read are seen in another region, forward only, and by those who come later") func otherRegion() async throws {
            #expect(try await alice.follow(room).receipts.isEmpty)
            try await bob.subscribe(room)
            let at = try await publish(5, alice, to: room)
            try await bob.confirm(.delivered, room, at[2])
            try await alice.isTold(bob.user, .delivered, at[2], in: room)
            try await bob.confirm(.read, room, at[1])
            try await alice.isTold(bob.user, .read, at[1], in: room)
            try await bob.confirm(.delivered, room, at[0])
            try await bob.confirm(.read, room, at[4])
            try await alice.isTold(bob.user, .read, at[4], in: room)
            #expect(alice.told(room).map(\.seq) == [3, 2, 5], "\(alice.told(room))")
            #expect(bob.told(room).isEmpty, "she did not ask")

            let late = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("late"))
            let states = try await late.follow(room).receipts.map(Told.init)
            #expect(states == [Told(bob.user, .delivered, at[4]), Told(bob.user, .read, at[4])])
            await end(late)
        }

        @Test("what breaks the rules is refused") func refused() async throws {
            let far = RelayPosition(Position(epoch: 1, seq: 1_000))
            func error(_ body: RelayClientFrame.OneOf_Frame) async throws -> RelayErrorCode { try await alice.error(of: body).code }
            #expect(try await error(.receipt(.with { ($0.room, $0.position) = (room, far) })) == .failedPrecondition)
            #expect(try await error(.receipt(.with { ($0.room, $0.position) = ("@bob", far) })) == .permissionDenied)
            try await alice.subscribe(room)
            let at = try await publish(1, alice, to: room)
            #expect(try await error(.receipt(.with { ($0.room, $0.position) = (room, far) })) == .invalidArgument)
            let never = RelayPosition(Position(epoch: at[0].epoch - 1, seq: 1 << 50))
            #expect(try await error(.receipt(.with { ($0.room, $0.position) = (room, never) })) == .invalidArgument)
            #expect(try await error(.receipt(.with { $0.room = room })) == .invalidArgument)
            #expect(
                try await error(.receipt(.with { ($0.room, $0.position, $0.kind) = (room, at[0], .UNRECOGNIZED(7)) })) == .invalidArgument)
            #expect(try await error(.unread(.with { $0.rooms = ["a b"] })) == .invalidArgument)
            #expect(try await error(.unread(.with { $0.rooms = (0...200).map { "room-\($0)" } })) == .invalidArgument)
            #expect(try await error(.unread(.with { $0.rooms = [room, "@bob"] })) == .permissionDenied)
            await end()
        }

        @Test("unread is what is kept after READ, in any region and for all rooms at once") func unread() async throws {
            let inbox = "@\(bob.user)"
            #expect(try await bob.unread([room]).map(\.count) == [0])
            try await bob.subscribe(room)
            let at = try await publish(7, alice, to: room)
            _ = try await publish(2, alice, to: inbox)
            #expect(try await bob.unreadCount(room) == 7)
            try await bob.confirm(.delivered, room, at[6])
            #expect(try await bob.unreadCount(room) == 7, "delivered is not read")
            try await bob.confirm(.read, room, at[3])
            try await eventually("four are read") { try await bob.unreadCount(room) == 3 }
            let phone = try await TestClient.connect(mesh.node("ap-south"), as: bob.user, device: "phone")
            let rooms = try await phone.unread([inbox, room, inbox])
            #expect(rooms.map(\.room) == [inbox, room] && rooms.map(\.count) == [2, 3] && rooms.last?.head == at[6])
            #expect(Set(try await bob.unread().map(\.room)) == [inbox, room])
            try await bob.confirm(.read, room, at[6])
            try await eventually("all are read") { try await phone.unreadCount(room) == 0 }
            await end(phone)
        }

        @Test("a direct message is sent, delivered and read, and only its sender is told") func direct() async throws {
            let carol = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("carol"))
            let inbox = "@\(bob.user)"
            for client in [alice, carol] { try await client.follow("@\(client.user)") }
            try await bob.subscribe(inbox)
            let first = try await alice.publish(inbox, "hello").position
            let second = try await carol.publish(inbox, "and me").position
            _ = try await bob.wait("both") { $0.messages(inbox).count == 2 ? true : nil }
            try await bob.confirm(.delivered, inbox, second)
            try await alice.isTold(bob.user, .delivered, first, in: inbox)
            try await carol.isTold(bob.user, .delivered, second, in: inbox)
            try await bob.confirm(.read, inbox, first)
            try await alice.isTold(bob.user, .read, first, in: inbox)
            let third = try await alice.publish(inbox, "still there?").position
            _ = try await bob.wait("the third") { $0.messages(inbox).count == 3 ? true : nil }
            try await bob.confirm(.read, inbox, third)
            try await alice.isTold(bob.user, .read, third, in: inbox)
            try await carol.isTold(bob.user, .read, second, in: inbox)
            #expect(alice.told(inbox).map(\.seq) == [1, 1, 3] && carol.told(inbox).map(\.seq) == [2, 2])
            await end(carol)
        }

        @Test("an invisible user confirms for herself alone") func invisible() async throws {
            let hidden = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("hidden"), status: .invisible)
            let tablet = try await TestClient.connect(mesh.node("us-east"), as: hidden.user, device: "tablet", status: .invisible)
            try await alice.follow(room)
            try await hidden.subscribe(room)
            try await tablet.follow(room)
            try await bob.subscribe(room)
            let at = try await publish(3, alice, to: room)
            try await hidden.confirm(.read, room, at[1])
            try await tablet.isTold(hidden.user, .read, at[1], in: room)
            try await eventually("unread works") { try await hidden.unreadCount(room) == 1 }
            // A word that came later is there: the hidden one has been passed over.
            try await bob.confirm(.read, room, at[2])
            try await alice.isTold(bob.user, .read, at[2], in: room)
            #expect(alice.told(room).allSatisfy { $0.user == bob.user })
            #expect(try await alice.follow(room).receipts.allSatisfy { $0.user == bob.user })
            #expect(try await tablet.follow(room).receipts.map(Told.init).contains(Told(hidden.user, .read, at[1])))

            for session in [hidden, tablet] { try await session.setPresence(.online) }
            try await eventually("she is seen") { try await bob.members(room).members.contains { $0.user == hidden.user } }
            try await hidden.confirm(.read, room, at[2])
            try await alice.isTold(hidden.user, .read, at[2], in: room)
            await end(hidden, tablet)
        }
    }
}

/// The bound of users whose receipts are told one by one is low here.
@Suite("Large rooms", .serialized, .mesh(yaml: "limits: {receiptUsersMax: 3}"), .timeLimit(.minutes(2))) struct ReceiptSummaryTests {
    @Test("above the bound everybody gets the slowest and the fastest, and her own") func summary() async throws {
        let mesh = try MeshUnderTest.current
        let room = MeshUnderTest.unique("large")
        let reader = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("reader"))
        let phone = try await TestClient.connect(mesh.node("ap-south"), as: reader.user, device: "phone")
        for session in [reader, phone] { try await session.follow(room) }
        var members: [TestClient] = []
        for n in 0..<4 {
            members.append(try await TestClient.connect(mesh.node(MeshUnderTest.regions[n % 3]), as: MeshUnderTest.unique("member")))
            try await members[n].subscribe(room)
        }
        var at: [RelayPosition] = []
        for n in 0..<6 { at.append(try await members[0].publish(room, "\(n)").position) }
        for (n, member) in members.enumerated() { try await member.confirm(.delivered, room, at[n + 1]) }
        let (slowest, fastest) = (at[1], at[4])
        let summary = try await reader.wait("the summary") { frames in
            frames.map(\.receipt).first { $0.room == room && $0.user.isEmpty && $0.position == slowest && $0.high == fastest }
        }
        #expect(summary.kind == .delivered)
        try await phone.confirm(.read, room, at[5])
        try await reader.isTold(reader.user, .read, at[5], in: room)
        let states = try await reader.follow(room).receipts
        #expect(states.contains { $0.user == reader.user && $0.kind == .read && $0.position == at[5] })
        #expect(states.allSatisfy { $0.user.isEmpty || $0.user == reader.user } && states.contains { $0.user.isEmpty && $0.high == at[5] })
        let late = try await TestClient.connect(mesh.node("us-east"), as: reader.user, device: "late")
        let told = try await late.follow(room).receipts
        #expect(told.contains { $0.user == reader.user && $0.kind == .read && $0.position == at[5] }, "her own are asked for")
        for client in members + [reader, phone, late] { await client.close() }
    }
}

extension FaultyMesh {
    @Suite(.serialized) struct ReceiptFaultTests {
        let mesh: MeshUnderTest
        let room: String
        let alice: TestClient
        let bob: TestClient

        init() async throws {
            mesh = try .current
            try await mesh.heal()
            room = MeshUnderTest.unique("us-east/receipts")
            alice = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("alice"))
            bob = try await TestClient.connect(mesh.node("ap-south"), as: mesh.user("bob", homedIn: "us-east"))
            try await alice.follow(room)
            try await bob.subscribe(room)
        }

        private func end() async { for client in [alice, bob] { await client.close() } }

        private func states() async throws -> [Told] { try await alice.follow(room).receipts.map(Told.init) }

        @Test("a root that is killed loses no receipt of those who stayed, stored or not") func rootDies() async throws {
            let root = try await mesh.node("us-east")
            let inbox = "@\(bob.user)"
            try await alice.follow("@\(alice.user)")
            try await bob.subscribe(inbox)
            let letter = try await alice.publishUntilTaken(inbox, "hello", key: "letter").position
            var at: [RelayPosition] = []
            for n in 0..<3 { at.append(try await alice.publishUntilTaken(room, "\(n)", key: "k\(n)").position) }
            _ = try await bob.messages(room, until: "k2")
            try await bob.confirm(.delivered, room, at[2])
            try await alice.isTold(bob.user, .delivered, at[2], in: room)
            // Not told to anybody before the root dies.
            try await bob.confirm(.read, room, at[1])
            try await mesh.local.kill(root.node, SIGKILL)
            _ = try await mesh.local.waitForExit(of: root.node, timeout: .seconds(5))
            // And while there is none.
            try await bob.confirm(.read, room, at[2])
            try await bob.confirm(.read, inbox, letter)
            #expect(try await bob.error(of: .unread(.with { $0.rooms = [room] })).code == .unavailable)
            try await mesh.local.restart(root.node)
            try await alice.isTold(bob.user, .read, at[2], in: room, within: .seconds(20))
            try await alice.isTold(bob.user, .read, letter, in: inbox, within: .seconds(20))
            try await eventually("the new root counts", within: .seconds(20)) { try await bob.unreadCount(room) == 0 }
            #expect(try await states() == [Told(bob.user, .delivered, at[2]), Told(bob.user, .read, at[2])])
            await end()
        }

        @Test("what was stored is there when nobody remembers it any more") func everybodyGone() async throws {
            var at: [RelayPosition] = []
            for n in 0..<3 { at.append(try await alice.publishUntilTaken(room, "\(n)", key: "k\(n)").position) }
            try await bob.confirm(.read, room, at[1])
            let redis = try #require(try await mesh.region("us-east").redis)
            try await eventually("it is stored") {
                try await Program.redis(redis.url, "HGET", "hg:receipts:{\(room)}:\(room)", bob.user)
                    .contains("\(at[1].epoch)-\(at[1].seq) \(at[1].epoch)-\(at[1].seq)")
            }
            let name = bob.user
            await end()
            for node in await mesh.nodes {
                try await mesh.local.kill(node.node, SIGKILL)
                _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
            }
            let nodes = await mesh.nodes
            // Together: none is ready before it has heard from the others.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in nodes { group.addTask { try await mesh.local.restart(node.node) } }
                try await group.waitForAll()
            }
            let back = try await TestClient.connect(mesh.node("eu-west"), as: name)
            let states: [Told] = try await eventually("the room is reached", within: .seconds(20)) {
                try await back.follow(room).receipts.map(Told.init)
            }
            #expect(states == [Told(name, .delivered, at[1]), Told(name, .read, at[1])])
            #expect(try await back.unreadCount(room) == 1)
            await back.close()
        }

        @Test("receipts go on without the store, and are written when it is back, also into an empty one") func storeAway() async throws {
            let region = RegionID("us-east")
            var at: [RelayPosition] = []
            for n in 0..<3 { at.append(try await alice.publishUntilTaken(room, "\(n)", key: "k\(n)").position) }
            try await bob.confirm(.read, room, at[0])
            try await alice.isTold(bob.user, .read, at[0], in: room)
            try await mesh.local.stopRedis(region)
            try await bob.confirm(.read, room, at[2])
            try await alice.isTold(bob.user, .read, at[2], in: room)
            try await eventually("unread says that it cannot know") {
                try await bob.error(of: .unread(.with { $0.rooms = [room] })).code == .unavailable
            }
            try await mesh.local.startRedis(region, wiped: true)
            let redis = try #require(try await mesh.region("us-east").redis)
            try await eventually("it is stored", within: .seconds(20)) {
                try await Program.redis(redis.url, "HGET", "hg:receipts:{\(room)}:\(room)", bob.user).contains("-\(at[2].seq)")
            }
            try await alice.publishUntilTaken(room, "after", key: "after")
            try await eventually("one is new", within: .seconds(20)) { try await bob.unreadCount(room) == 1 }
            await end()
        }
    }
}

extension FaultyPairs {
    @Suite(.serialized) struct ReceiptTakeoverTests {
        @Test("the other node of the region takes the receipts over, and gives them back") func takeover() async throws {
            let mesh = try MeshUnderTest.current
            try await mesh.heal()
            let room = MeshUnderTest.unique("us-east/receipts")
            let root = try await mesh.root(of: room)
            let alice = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("alice"))
            let bob = try await TestClient.connect(mesh.node("ap-south", 1), as: MeshUnderTest.unique("bob"))
            try await alice.follow(room)
            try await bob.subscribe(room)
            var at: [RelayPosition] = []
            for n in 0..<4 { at.append(try await alice.publishUntilTaken(room, "\(n)", key: "k\(n)").position) }
            _ = try await bob.messages(room, until: "k3")
            try await bob.confirm(.delivered, room, at[1])
            try await alice.isTold(bob.user, .delivered, at[1], in: room)
            try await bob.confirm(.read, room, at[1])
            try await mesh.local.kill(root.node, SIGKILL)
            _ = try await mesh.local.waitForExit(of: root.node, timeout: .seconds(5))
            try await bob.confirm(.read, room, at[2])
            try await alice.isTold(bob.user, .read, at[2], in: room, within: .seconds(20))
            try await eventually("the new root counts", within: .seconds(20)) { try await bob.unreadCount(room) == 1 }
            #expect(try await mesh.root(of: room).node != root.node)

            try await mesh.local.restart(root.node)
            try await eventually("the old root is the root again", within: .seconds(20)) {
                try await mesh.root(of: room).node == root.node
            }
            try await bob.confirm(.read, room, at[3])
            try await alice.isTold(bob.user, .read, at[3], in: room, within: .seconds(20))
            let states = try await alice.follow(room).receipts.map(Told.init)
            #expect(states == [Told(bob.user, .delivered, at[3]), Told(bob.user, .read, at[3])])
            for client in [alice, bob] { await client.close() }
        }
    }
}
