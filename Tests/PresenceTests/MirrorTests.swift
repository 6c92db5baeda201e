import MeshCore
import Presence
import Testing

private let owner = NodeBoot(node: NodeID(region: RegionID("eu"), name: "n1"), boot: 1)

private func entry(_ session: UInt64, _ user: String, _ status: Status = .online) -> MemberEntry {
    MemberEntry(session: session, user: user, device: "d", status: status, note: "")
}

private func member(_ user: String, _ status: Status = .online) -> Member { Member(user: user, status: status, note: "", devices: 1) }

private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

@Suite("A node's own sessions in a room") struct OwnedMembersTests {
    private var version: UInt64 = 10

    private mutating func take(_ owned: inout OwnedMembers) -> OwnerUpdate? {
        owned.takeUpdate(owner: owner) {
            version += 1
            return version
        }
    }

    @Test("first a snapshot, then deltas that follow on each other") mutating func updates() {
        var owned = OwnedMembers()
        #expect(take(&owned) == nil)
        owned.upsert(entry(1, "alice"))
        #expect(take(&owned) == OwnerUpdate(owner: owner, version: 11, content: .snapshot([entry(1, "alice")])))
        #expect(take(&owned) == nil)
        owned.upsert(entry(2, "bob"))
        owned.remove(1)
        #expect(
            take(&owned) == OwnerUpdate(owner: owner, version: 12, content: .delta(from: 11, upserted: [entry(2, "bob")], removed: [1])))
        #expect(!owned.isEmpty && !owned.hasChanges)
    }

    @Test("what is the same, or unknown, changes nothing; the last word within a tick counts") mutating func coalesced() {
        var owned = OwnedMembers()
        owned.upsert(entry(1, "alice"))
        _ = take(&owned)
        owned.upsert(entry(1, "alice"))
        owned.remove(9)
        #expect(!owned.hasChanges)
        owned.upsert(entry(1, "alice", .busy))
        owned.remove(1)
        owned.upsert(entry(1, "alice", .away))
        #expect(
            take(&owned)
                == OwnerUpdate(owner: owner, version: 12, content: .delta(from: 11, upserted: [entry(1, "alice", .away)], removed: [])))
        owned.remove(1)
        #expect(owned.isEmpty)
        #expect(take(&owned) == OwnerUpdate(owner: owner, version: 13, content: .delta(from: 12, upserted: [], removed: [1])))
    }
}

@Suite("The members as a level below knows them") struct MemberMirrorTests {
    @Test("diffs are applied") func apply() {
        var mirror = MemberMirror()
        var diff = MemberDiff()
        diff.joined = [member("alice"), member("bob")]
        diff.count = 2
        #expect(mirror.apply(diff) == diff)
        diff = MemberDiff()
        diff.updated = [member("alice", .busy)]
        diff.left = ["bob"]
        diff.count = 1
        diff.lastSeen = 77
        #expect(mirror.apply(diff) == diff)
        #expect(mirror.all == [member("alice", .busy)] && mirror.count == 1 && mirror.lastSeen == 77)
        #expect(mirror.member("bob") == nil)
    }

    @Test("what is known already is no news, and a count alone is") func known() {
        var mirror = MemberMirror()
        var diff = MemberDiff()
        diff.joined = [member("alice"), member("bob")]
        diff.count = 2
        _ = mirror.apply(diff)
        #expect(mirror.apply(diff) == nil)
        diff.joined = [member("alice", .away), member("bob")]
        diff.left = ["nobody"]
        let effect = mirror.apply(diff)
        #expect(effect?.joined == [] && effect?.updated == [member("alice", .away)] && effect?.left == [])
        var count = MemberDiff()
        count.count = 700
        #expect(mirror.apply(count) == count && mirror.count == 700 && mirror.all.count == 2)
        #expect(mirror.apply(count) == nil)
    }

    private func list(_ members: [Member], count: Int? = nil, lastSeen: WallMilliseconds = 0) -> MemberList {
        MemberList(members: members, count: count ?? members.count, lastSeen: lastSeen)
    }

    @Test("a second join is the difference to the first") func reset() {
        var mirror = MemberMirror()
        #expect(mirror.reset(to: list([]), isSettling: false) == nil)
        #expect(mirror.reset(to: list([member("alice"), member("bob")]), isSettling: false)?.joined.count == 2)
        #expect(mirror.reset(to: list([member("alice"), member("bob")]), isSettling: false) == nil)
        let diff = mirror.reset(to: list([member("alice", .away), member("carol")], lastSeen: 5), isSettling: false)
        #expect(diff?.joined == [member("carol")])
        #expect(diff?.updated == [member("alice", .away)])
        #expect(diff?.left == ["bob"])
        #expect(diff?.count == 2)
        #expect(diff?.lastSeen == 5)
    }

    @Test("nobody is concluded to have left from a list of a root that has not heard everybody") func settling() {
        var mirror = MemberMirror()
        _ = mirror.reset(to: list([member("alice"), member("bob"), member("carol")]), isSettling: false)
        let first = mirror.reset(to: list([member("bob", .busy), member("dora")]), isSettling: true)
        #expect(first?.left == [] && first?.joined == [member("dora")] && first?.updated == [member("bob", .busy)])
        #expect(mirror.isSettling && mirror.count == 4, "a root that has not heard everybody counts too few")
        var heard = MemberDiff()
        heard.joined = [member("alice")]
        heard.count = 3
        #expect(mirror.apply(heard) == nil, "she was known before the root was")
        let whole = mirror.reset(to: list([member("alice"), member("bob", .busy), member("dora")]), isSettling: false)
        #expect(whole?.left == ["carol"] && whole?.joined == [] && whole?.updated == [] && whole?.count == 3)
        #expect(!mirror.isSettling && mirror.count == 3)
    }

    @Test("of a large room the list is what is shown") func large() {
        var mirror = MemberMirror()
        _ = mirror.reset(to: list([member("alice"), member("bob")], count: 700), isSettling: false)
        #expect(mirror.count == 700 && mirror.all.count == 2)
        let diff = mirror.reset(to: list([member("alice"), member("carol")], count: 701), isSettling: false)
        #expect(diff?.left == ["bob"] && diff?.joined == [member("carol")] && diff?.count == 701)
    }
}

@Suite("Who is typing") struct TypingTableTests {
    private let ttl = TimeSpan.seconds(6)

    @Test("a start is told once, repeats move its end") func repeats() {
        var table = TypingTable()
        #expect(table.set("alice", active: true, now: at(0), ttl: ttl) == .init(user: "alice", active: true))
        #expect(table.set("alice", active: true, now: at(3000), ttl: ttl) == nil)
        #expect(table.expire(now: at(8999)).isEmpty)
        #expect(table.expire(now: at(9000)) == [.init(user: "alice", active: false)])
        #expect(table.isEmpty)
        #expect(table.expire(now: at(9000)).isEmpty)
    }

    @Test("a stop is told once") func stops() {
        var table = TypingTable()
        #expect(table.set("alice", active: false, now: at(0), ttl: ttl) == nil)
        _ = table.set("alice", active: true, now: at(0), ttl: ttl)
        #expect(table.set("alice", active: false, now: at(1), ttl: ttl) == .init(user: "alice", active: false))
        #expect(table.stop("alice") == nil)
    }

    @Test("at the bound new typists are not shown, known ones go on") func bound() {
        var table = TypingTable()
        for user in 0..<TypingTable.usersMax { _ = table.set("u\(user)", active: true, now: at(0), ttl: ttl) }
        #expect(table.isOverBudget("more") && !table.isOverBudget("u1"))
        #expect(table.set("more", active: true, now: at(1), ttl: ttl) == nil)
        #expect(table.users.count == TypingTable.usersMax && !table.users.contains("more"))
        #expect(table.set("u1", active: true, now: at(5000), ttl: ttl) == nil)
        #expect(table.expire(now: at(6000)).count == TypingTable.usersMax - 1)
        #expect(table.users == ["u1"])
    }

    @Test("the list of a join is taken over") func reset() {
        var table = TypingTable()
        _ = table.set("alice", active: true, now: at(0), ttl: ttl)
        _ = table.set("bob", active: true, now: at(0), ttl: ttl)
        let changes = table.reset(to: ["bob", "carol"], now: at(5000), ttl: ttl)
        #expect(changes == [.init(user: "alice", active: false), .init(user: "carol", active: true)])
        #expect(table.users == ["bob", "carol"])
        #expect(table.expire(now: at(6000)).isEmpty, "bob was confirmed by the join")
    }
}
