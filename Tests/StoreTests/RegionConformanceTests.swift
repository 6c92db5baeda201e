import MeshCore
import NIOCore
import Store
import Testing

private let room = "eu/lobby"
private let node = NodeID(region: RegionID("eu-west"), name: "eu-west-0")

private func member(
    _ session: UInt64, boot: Boot = 7, _ user: String, status: Status = .online, note: String = "", identity: UInt64 = 0,
    taken: UInt64 = 0
) -> StoredMember {
    StoredMember(
        key: MemberKey(owner: NodeBoot(node: node, boot: boot), session: session), user: user, device: "phone \"1\"", status: status,
        note: note, identity: identity, taken: taken)
}

/// What both stores promise about identity, roster, leases, presence and typing.
@Suite(.serialized) struct RegionConformanceTests {
    @Test(arguments: StoreKind.allCases)
    func identityIsGivenOnce(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let other = try await harness.connect()
            async let first = store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            async let second = other.call { $0.attach(freshID: "two", knownEpoch: 0) }
            let (a, b) = try await (first, second)
            #expect(a == b)
            #expect(a.epoch == 1)
            #expect(["one", "two"].contains(a.incarnation))
            expect(try await store.call { $0.attach(freshID: "three", knownEpoch: 1) }, is: a)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func restartKeepsTheIdentityAndGrowsTheEpoch(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            expect(try await store.call { $0.attach(freshID: "one", knownEpoch: 4) }, is: StoreIdentity(incarnation: "one", epoch: 5))
            _ = try await store.call { $0.open(room, .first(incarnation: "one", epoch: 5)) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            try harness.restart()
            // What this run holds may be old, so the fence of the run before does not count.
            expect(try await store.error { $0.append(room, .of("c")) }, is: .notOpen)
            expect(try await store.call { $0.attach(freshID: "two", knownEpoch: 5) }, is: StoreIdentity(incarnation: "one", epoch: 6))
            expect(try await store.call { $0.attach(freshID: "two", knownEpoch: 6) }, is: StoreIdentity(incarnation: "one", epoch: 6))
            // Even a root that has not attached yet cannot continue the old epoch.
            expect(
                try await store.call { $0.open(room, .first(incarnation: "one", epoch: 5)) },
                is: OpenedLog(epoch: 6, head: at(5, 2), lastAt: 1000))
            expect(try await store.call { $0.append(room, .of("c", "a")) }, is: [.appended(at(6, 3)), .duplicate(at(5, 1), at: 1000)])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func wipedStoreIsANewOne(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            _ = try await store.call { $0.open(room, .first(incarnation: "one")) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            try harness.wipe()
            expect(try await store.error { $0.append(room, .of("c")) }, is: .notOpen)
            expect(try await store.call { $0.attach(freshID: "two", knownEpoch: 1) }, is: StoreIdentity(incarnation: "two", epoch: 2))
            let opened = try await store.call { $0.open(room, .first(incarnation: "two", epoch: 2, knownHead: at(1, 2))) }
            #expect(opened == OpenedLog(epoch: 2, head: at(1, 2), lastAt: 0))
            expect(try await store.call { $0.append(room, .of("c")) }, is: [.appended(at(2, 3))])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func olderCopyGrowsAboveWhatWasSeen(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            expect(try await store.call { $0.attach(freshID: "two", knownEpoch: 9) }, is: StoreIdentity(incarnation: "one", epoch: 10))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func bootsGrow(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let first: WallMilliseconds = 1_795_000_000_123
            let other = NodeID(region: node.region, name: "eu-west-1")
            var boots: [Boot] = []
            for (node, wallClock) in [(node, first), (node, first), (node, 5), (node, first + 9000), (other, 5)] {
                boots.append(try await store.call { $0.nextBoot(of: node, wallClock: wallClock) })
            }
            #expect(boots == [Boot(first), Boot(first) + 1, Boot(first) + 2, Boot(first) + 9000, 5])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func rosterChangesByCompareAndSet(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let other = try await harness.connect()
            let one = StoredRoster(version: 1, nodes: [node])
            let two = StoredRoster(version: 2, nodes: [node, NodeID(region: node.region, name: "eu-west-1")])
            expect(try await store.call { $0.roster() }, is: nil)
            expect(try await store.call { $0.changeRoster(expected: 3, to: two) }, is: StoredRoster(version: 0, nodes: []))
            expect(try await store.call { $0.roster() }, is: nil)
            expect(try await store.call { $0.changeRoster(expected: 0, to: one) }, is: one)
            expect(try await other.call { $0.changeRoster(expected: 0, to: two) }, is: one)
            expect(try await other.call { $0.changeRoster(expected: 1, to: two) }, is: two)
            expect(try await store.call { $0.roster() }, is: two)
            let empty = StoredRoster(version: 3, nodes: [])
            expect(try await store.call { $0.changeRoster(expected: 2, to: empty) }, is: empty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func leaseBelongsToTheNewestBoot(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let old = NodeBoot(node: node, boot: 7)
            let new = NodeBoot(node: node, boot: 8)
            expect(try await store.call { $0.lease(of: node) }, is: nil)
            try await store.call { $0.renewLease(of: old, ttl: .seconds(60)) }
            expect(try await store.call { $0.lease(of: node) }, is: 7)
            try await store.call { $0.renewLease(of: new, ttl: .seconds(60)) }
            try await store.call { $0.renewLease(of: old, ttl: .seconds(60)) }
            try await store.call { $0.dropLease(of: old) }
            expect(try await store.call { $0.lease(of: node) }, is: 8)
            try await store.call { $0.dropLease(of: new) }
            expect(try await store.call { $0.lease(of: node) }, is: nil)
            try await store.call { $0.renewLease(of: old, ttl: .milliseconds(50)) }
            try harness.pass(.milliseconds(60))
            expect(try await store.call { $0.lease(of: node) }, is: nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func membersAreMirrored(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let everyStatus = [Status.online, .away, .busy, .invisible, .offline, .unknown].enumerated().map { index, status in
                member(UInt64(index), "user-\(index)/x#é", status: status, note: "a \"note\" 🌞 / \\ \n")
            }
            expect(try await store.call { $0.members(of: room) }, is: [])
            try await store.call { $0.mirrorMembers(of: room, removed: [], upserted: everyStatus) }
            expect(Set(try await store.call { $0.members(of: room) }), is: Set(everyStatus))
            // Removals first: an entry that is removed and set stays.
            let changed = member(0, "renamed", identity: .max, taken: 1 << 53)
            try await store.call { $0.mirrorMembers(of: room, removed: everyStatus.map(\.key), upserted: [changed]) }
            expect(try await store.call { $0.members(of: room) }, is: [changed])
            let others = [member(1, boot: 8, "x"), member(2, boot: 8, "y")]
            try await store.call { $0.replaceMembers(of: room, with: others) }
            expect(Set(try await store.call { $0.members(of: room) }), is: Set(others))
            try await store.call { $0.replaceMembers(of: room, with: []) }
            expect(try await store.call { $0.members(of: room) }, is: [])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func ofALargeRoomOwnersAreCounted(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let counts = [NodeBoot(node: node, boot: 7): 12_000, NodeBoot(node: node, boot: .max): 1]
            expect(try await store.call { $0.memberCounts(of: room) }, is: [:])
            try await store.call { $0.replaceMembers(of: room, with: [member(1, "x")]) }
            try await store.call { $0.replaceMembers(of: room, withCounts: counts) }
            expect(try await store.call { $0.memberCounts(of: room) }, is: counts)
            expect(try await store.call { $0.members(of: room) }, is: [])
            try await store.call { $0.replaceMembers(of: room, withCounts: [NodeBoot(node: node, boot: 9): 3]) }
            expect(try await store.call { $0.memberCounts(of: room) }, is: [NodeBoot(node: node, boot: 9): 3])
            try await store.call { $0.replaceMembers(of: room, with: [member(1, "x")]) }
            expect(try await store.call { $0.memberCounts(of: room) }, is: [:])
            expect(try await store.call { $0.members(of: room) }, is: [member(1, "x")])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func largeMemberListsFit(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let many = (0..<20_000).map { member($0, "user-\($0)") }
            try await store.call { $0.replaceMembers(of: room, with: many) }
            expect(try await store.call { $0.members(of: room) }.count, is: many.count)
            try await store.call { $0.mirrorMembers(of: room, removed: many.dropFirst().map(\.key), upserted: []) }
            expect(try await store.call { $0.members(of: room) }, is: [many[0]])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func typingExpires(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let now = harness.now
            try await store.call { $0.mirrorTyping(in: room, user: "alice", expiresAt: now + 400) }
            try await store.call { $0.mirrorTyping(in: room, user: "bob", expiresAt: now + 60_000) }
            try await store.call { $0.mirrorTyping(in: room, user: "carol", expiresAt: now + 60_000) }
            try await store.call { $0.mirrorTyping(in: room, user: "carol", expiresAt: nil) }
            try await store.call { $0.mirrorTyping(in: room, user: "nobody", expiresAt: nil) }
            expect(try await store.call { $0.typing(in: room) }, is: ["alice": now + 400, "bob": now + 60_000])
            try harness.pass(.milliseconds(450))
            expect(try await store.call { $0.typing(in: room) }, is: ["bob": now + 60_000])
            try await store.call { $0.mirrorTyping(in: room, user: "bob", expiresAt: nil) }
            expect(try await store.call { $0.typing(in: room) }, is: [:])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func lastSeenMovesForward(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            expect(try await store.call { $0.lastSeen(of: "alice") }, is: nil)
            try await store.call { $0.setLastSeen(of: "alice", at: 1_795_000_000_123) }
            try await store.call { $0.setLastSeen(of: "alice", at: 1_700_000_000_000) }
            expect(try await store.call { $0.lastSeen(of: "alice") }, is: 1_795_000_000_123)
            expect(try await store.call { $0.lastSeen(of: "bob") }, is: nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func closedStoreRefuses(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, _ in
            let store = try await harness.connect()
            try await store.close()
            expect(try await store.look { $0.state }, is: .down("closed"))
            expect(try await store.error { $0.head(of: room) }, is: .unavailable("closed"))
            expect(try await store.look { $0.figures.failures }, is: 1)
            #expect(store.states.all == [.up])
        }
    }
}
