import MeshCore
import NIOCore
import Testing

@testable import Store

private let room = "eu/lobby"

/// What both stores promise about how long messages stay, and about deletion.
@Suite(.serialized) struct RetentionConformanceTests {
    private func bodies(_ store: LoopStore, _ room: String = room) async throws -> [String] {
        try await store.call { $0.read(room, after: nil, before: nil, limit: 1_000, newest: false) }.bodies
    }

    private func batch(_ bodies: [String], at: WallMilliseconds = 1000, _ retention: Retention) -> AppendBatch {
        AppendBatch(
            fence: standardFence, messages: bodies.map { .init(user: "u", key: $0, at: at, body: ByteBuffer(string: $0)) },
            retention: retention, name: "one")
    }

    @Test(arguments: StoreKind.allCases)
    func bytesAreBounded(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            let retention = Retention(bytesMax: 10)
            _ = try await store.call { $0.append(room, batch(["1aaa", "2aaa"], retention)) }
            expect(try await bodies(store), is: ["1aaa", "2aaa"])
            _ = try await store.call { $0.append(room, batch(["3aaa"], retention)) }
            expect(try await bodies(store), is: ["2aaa", "3aaa"])
            // A duplicate adds nothing and trims nothing; one message alone may be larger than the bound.
            _ = try await store.call { $0.append(room, batch(["3aaa"], Retention(bytesMax: 1))) }
            expect(try await bodies(store), is: ["2aaa", "3aaa"])
            _ = try await store.call { $0.append(room, batch(["4aaaaaaaaaaaaaa"], retention)) }
            expect(try await bodies(store), is: ["4aaaaaaaaaaaaaa"])
            _ = try await store.call { $0.append(room, batch(["5a", "6a", "7a", "8a", "9a", "0a"], retention)) }
            expect(try await bodies(store), is: ["6a", "7a", "8a", "9a", "0a"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func oldMessagesGoWithTheNextAppend(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.open(room, .first()) }
            let retention = Retention(ageMax: .seconds(60))
            let now = harness.now
            for (key, age) in [("a", 59_000), ("b", 58_000), ("c", 1_000)] as [(String, WallMilliseconds)] {
                _ = try await store.call { $0.append(room, batch([key], at: now - age, Retention())) }
            }
            _ = try await store.call { $0.append(room, batch(["d"], at: now, retention)) }
            expect(try await bodies(store), is: ["a", "b", "c", "d"])
            let shorter = Retention(ageMax: .milliseconds(30_000))
            _ = try await store.call { $0.append(room, batch(["e"], at: now, shorter)) }
            expect(try await bodies(store), is: ["c", "d", "e"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aQuietLogGoesAsAWhole(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.open(room, .first()) }
            let retention = Retention(ageMax: .milliseconds(1500))
            let now = harness.now
            _ = try await store.call { $0.append(room, batch(["a", "b"], at: now, retention)) }
            expect(try await bodies(store), is: ["a", "b"])
            try harness.pass(.milliseconds(1600))
            expect(try await bodies(store), is: [])
            expect(try await store.call { $0.head(of: room) }, is: at(1, 2))
            // Positions go on, and the bytes are counted anew.
            let small = Retention(ageMax: .seconds(60), bytesMax: 2)
            let later = harness.now
            expect(
                try await store.call { $0.append(room, batch(["c", "d"], at: later, small)) },
                is: [.appended(at(1, 3)), .appended(at(1, 4))])
            expect(try await bodies(store), is: ["c", "d"])
            // A rule without an age takes the end away.
            _ = try await store.call { $0.append(room, batch(["e"], at: later, Retention(ageMax: .milliseconds(1500)))) }
            _ = try await store.call { $0.append(room, batch(["f"], at: later, Retention())) }
            try harness.pass(.milliseconds(1600))
            expect(try await bodies(store), is: ["c", "d", "e", "f"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func trimsWithoutAnAppend(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let retention = Retention(ageMax: .milliseconds(10_000))
            expect(try await store.call { $0.trim(room, retention, most: 10) }, is: true)
            _ = try await store.call { $0.open(room, .first()) }
            let now = harness.now
            _ = try await store.call { $0.append(room, batch(["a", "b", "c", "d"], at: now - 20_000, Retention())) }
            _ = try await store.call { $0.append(room, batch(["e", "f"], at: now, Retention())) }
            expect(try await store.call { $0.trim(room, Retention(), most: 10) }, is: true)
            expect(try await store.call { $0.trim(room, retention, most: 3) }, is: false)
            expect(try await bodies(store), is: ["d", "e", "f"])
            expect(try await store.call { $0.trim(room, retention, most: 3) }, is: true)
            expect(try await bodies(store), is: ["e", "f"])
            expect(try await store.call { $0.trim(room, Retention(messagesMax: 1), most: 3) }, is: true)
            expect(try await bodies(store), is: ["f"])
            expect(try await store.call { $0.head(of: room) }, is: at(1, 6))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aSixtyFourthMoreMayStay(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            let retention = Retention(messagesMax: 128)
            _ = try await store.call { $0.append(room, batch((0..<130).map { "k\($0)" }, retention)) }
            expect(try await bodies(store).count, is: 130)
            _ = try await store.call { $0.append(room, batch(["x"], retention)) }
            expect(try await bodies(store).count, is: 128)
            _ = try await store.call { $0.append(room, batch(["y"], retention)) }
            expect(try await store.call { $0.trim(room, retention, most: 9) }, is: true)
            expect(try await bodies(store).count, is: 128)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func oneAppendTrimsABoundedNumber(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, batch((0..<500).map { "k\($0)" }, Retention())) }
            _ = try await store.call { $0.append(room, batch(["x"], Retention(messagesMax: 1))) }
            expect(try await bodies(store).count, is: 501 - 66)
            for n in 0..<10 { _ = try await store.call { $0.append(room, batch(["y\(n)"], Retention(messagesMax: 1))) } }
            expect(try await bodies(store), is: ["y9"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func deletedRoomKeepsItsPositions(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            expect(try await store.call { $0.deleteRoom(room) }, is: nil)
            expect(try await store.call { $0.head(of: room) }, is: nil)
            expect(try await store.call { $0.deletedUpTo(of: room) }, is: nil)
            _ = try await store.call { $0.open(room, .first(epoch: 3)) }
            _ = try await store.call { $0.append(room, .of("a", "b", at: 5_000)) }
            let key = MemberKey(owner: NodeBoot(node: NodeID(region: RegionID("eu"), name: "n"), boot: 1), session: 2)
            let member = StoredMember(key: key, user: "alice", device: "d", status: .online, note: "")
            try await store.call { $0.mirrorMembers(of: room, removed: [], upserted: [member]) }
            let end = harness.now + 60_000
            try await store.call { $0.mirrorTyping(in: room, user: "alice", expiresAt: end) }
            expect(try await store.call { $0.deletedUpTo(of: room) }, is: nil)
            expect(try await store.call { $0.deleteRoom(room) }, is: at(3, 2))
            expect(try await store.call { $0.deletedUpTo(of: room) }, is: at(3, 2))
            expect(try await bodies(store), is: [])
            expect(try await store.call { $0.members(of: room) }, is: [])
            expect(try await store.call { $0.typing(in: room) }, is: [:])
            expect(try await store.call { $0.head(of: room) }, is: at(3, 2))
            expect(
                try await store.call { $0.epochs(of: room) },
                is: [StoredEpoch(epoch: 3, first: 1, last: 2), StoredEpoch(epoch: 4, first: 3, last: nil)])
            // The fence stands, keys are forgotten, and nothing is handed out twice.
            expect(try await store.call { $0.append(room, .of("a", at: 1_000)) }, is: [.appended(at(4, 3))])
            expect(try await store.call { $0.append(room, .of("a")) }, is: [.duplicate(at(4, 3), at: 5_000)])
            expect(try await bodies(store), is: ["a"])
            expect(try await store.call { $0.open(room, .first(epoch: 3)) }, is: OpenedLog(epoch: 4, head: at(4, 3), lastAt: 5_000))
            expect(try await store.call { $0.deletedUpTo(of: room) }, is: at(3, 2))
            // Repeatable.
            expect(try await store.call { $0.deleteRoom(room) }, is: at(4, 3))
            expect(try await store.call { $0.deleteRoom(room) }, is: at(4, 3))
            expect(try await store.call { $0.append(room, .of("b")) }, is: [.appended(at(6, 4))])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func deletedUserLeavesNothing(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let inbox = NameRules.inbox(of: "alice")
            _ = try await store.call { $0.open(inbox, .first()) }
            _ = try await store.call { $0.append(inbox, .of("a", "b")) }
            try await store.call { $0.setLastSeen(of: "alice", at: 77) }
            try await store.call { $0.setLastSeen(of: "bob", at: 78) }
            expect(try await store.call { $0.noteRoom("lobby", of: "alice", most: 9) }, is: true)
            // A room deleted by name keeps what is the user's.
            expect(try await store.call { $0.deleteRoom(inbox) }, is: at(1, 2))
            expect(try await store.call { $0.lastSeen(of: "alice") }, is: 77)
            expect(try await store.call { $0.rooms(of: "alice", after: "", limit: 9) }, is: ["lobby"])
            expect(try await store.call { $0.deleteUser("alice") }, is: at(1, 2))
            expect(try await store.call { $0.lastSeen(of: "alice") }, is: nil)
            expect(try await store.call { $0.rooms(of: "alice", after: "", limit: 9) }, is: [])
            expect(try await store.call { $0.lastSeen(of: "bob") }, is: 78)
            expect(try await store.call { $0.deleteUser("nobody") }, is: nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func receiptsGoWithTheirUserOrTheirRoom(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let positions = ReceiptPositions(read: at(1, 2))
            let owners = [ReceiptOwner(user: "alice"), ReceiptOwner(user: "alice", isHidden: true), ReceiptOwner(user: "bob")]
            try await store.call { $0.mergeReceipts(of: room, owners.map { Receipt($0, positions) }) }
            try await store.call { $0.deleteReceipts(of: room, user: "alice") }
            expect(try await store.call { $0.receipts(of: room) }, is: [Receipt(ReceiptOwner(user: "bob"), positions)])
            _ = try await store.call { $0.deleteRoom(room) }
            expect(try await store.call { $0.receipts(of: room) }, is: [])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func roomsOfAUserAreBoundedAndPaged(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            for name in ["b", "a", "é", "B"] { expect(try await store.call { $0.noteRoom(name, of: "alice", most: 4) }, is: true) }
            expect(try await store.call { $0.noteRoom("c", of: "alice", most: 4) }, is: false)
            expect(try await store.call { $0.noteRoom("a", of: "alice", most: 4) }, is: true)
            expect(try await store.call { $0.rooms(of: "alice", after: "", limit: 2) }, is: ["B", "a"])
            expect(try await store.call { $0.rooms(of: "alice", after: "a", limit: 9) }, is: ["b", "é"])
            expect(try await store.call { $0.rooms(of: "alice", after: "é", limit: 9) }, is: [])
            expect(try await store.call { $0.rooms(of: "bob", after: "", limit: 9) }, is: [])
        }
    }
}
