import MeshCore
import Presence
import Testing

private let n1 = NodeID(region: RegionID("eu"), name: "n1")
private let n2 = NodeID(region: RegionID("us"), name: "n2")

private func boot(_ node: NodeID = n1, _ boot: Boot = 1) -> NodeBoot { NodeBoot(node: node, boot: boot) }

private func entry(_ session: UInt64, _ user: String, _ status: Status = .online, device: String = "d", note: String = "") -> MemberEntry {
    MemberEntry(session: session, user: user, device: device, status: status, note: note)
}

private func snapshot(_ owner: NodeBoot, _ version: UInt64, _ entries: MemberEntry...) -> OwnerUpdate {
    OwnerUpdate(owner: owner, version: version, content: .snapshot(entries))
}

private func delta(_ owner: NodeBoot, from: UInt64, _ version: UInt64, _ upserted: [MemberEntry], removed: [UInt64] = []) -> OwnerUpdate {
    OwnerUpdate(owner: owner, version: version, content: .delta(from: from, upserted: upserted, removed: removed))
}

private func gone(_ owner: NodeBoot) -> OwnerUpdate { OwnerUpdate(owner: owner, version: 1, content: .gone) }

private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

/// What a diff says, in short.
private func said(_ diff: MemberDiff?) -> String {
    guard let diff else { return "" }
    let joined = diff.joined.map { "+\($0.user)" }.sorted()
    let updated = diff.updated.map { "~\($0.user)" }.sorted()
    return (joined + updated + diff.left.sorted().map { "-\($0)" }).joined(separator: " ") + " =\(diff.count)"
}

@Suite("The table of members: what owners say") struct PresenceTableOwnerTests {
    @Test("a snapshot replaces what its owner said, and only that") func snapshots() {
        var table = PresenceTable.root()
        #expect(table.isEmpty)
        #expect(table.apply(snapshot(boot(), 1, entry(1, "alice"), entry(2, "bob")), from: 1) == .applied)
        #expect(table.apply(snapshot(boot(n2), 1, entry(1, "carol")), from: 2) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "+alice +bob +carol =3")
        #expect(table.apply(snapshot(boot(), 2, entry(2, "bob"), entry(3, "dave")), from: 1) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "+dave -alice =3")
    }

    @Test("older and repeated announcements are known") func stale() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 5, entry(1, "alice")), from: 1)
        #expect(table.apply(snapshot(boot(), 4), from: 1) == .stale)
        #expect(table.apply(delta(boot(), from: 4, 5, [], removed: [1]), from: 1) == .stale)
        #expect(table.apply(delta(boot(), from: 3, 4, [], removed: [1]), from: 1) == .stale)
        #expect(said(table.takeDiff(now: .zero)) == "+alice =1")
        #expect(table.apply(snapshot(boot(), 5, entry(1, "alice")), from: 2) == .applied, "announced again over another way")
        #expect(table.takeDiff(now: .zero) == nil)
    }

    @Test("deltas follow on each other, and one that does not asks for a snapshot") func deltas() {
        var table = PresenceTable.root()
        #expect(table.apply(delta(boot(), from: 0, 1, [entry(1, "alice")]), from: 1) == .outOfStep, "nothing is known of the owner")
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        #expect(table.apply(delta(boot(), from: 1, 2, [entry(2, "bob")], removed: [1]), from: 1) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "+bob =1")
        #expect(table.apply(delta(boot(), from: 3, 4, [entry(3, "carol")]), from: 1) == .outOfStep)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.apply(snapshot(boot(), 4, entry(2, "bob"), entry(3, "carol")), from: 1) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "+carol =2")
    }

    @Test("a newer boot ends the older one, whose sessions may come back within the grace period") func boots() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(n1, 1), 9, entry(1, "alice"), entry(2, "bob")), from: 1)
        _ = table.takeDiff(now: .zero)
        #expect(table.apply(snapshot(boot(n1, 2), 1, entry(1, "bob")), from: 1, now: at(500)) == .applied)
        #expect(table.takeDiff(now: at(500)) == nil)
        #expect(table.apply(snapshot(boot(n1, 1), 10, entry(1, "alice")), from: 1) == .stale)
        #expect(table.apply(gone(boot(n1, 1)), from: 1) == .stale)
        #expect(table.hasLost && table.expire(now: at(1499), grace: .seconds(1)).isEmpty)
        #expect(table.expire(now: at(1500), grace: .seconds(1)).isEmpty, "the level above knows of the newer boot itself")
        #expect(said(table.takeDiff(now: at(1500))) == "-alice =1")
        #expect(table.apply(delta(boot(n1, 3), from: 1, 2, []), from: 1, now: at(2000)) == .outOfStep)
        #expect(table.apply(gone(boot(n1, 3)), from: 1, now: at(2000)) == .applied)
        #expect(said(table.takeDiff(now: at(2000))) == "-bob =0")
    }

    @Test("gone counts only from where its owner was heard") func goneFromItsSource() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.takeDiff(now: .zero)
        #expect(table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 2) == .applied, "moved to another way")
        #expect(table.apply(gone(boot()), from: 1) == .stale)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.apply(gone(boot()), from: 2) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "-alice =0")
        #expect(table.apply(gone(boot()), from: 2) == .stale)
    }

    @Test("that a newer boot is gone ends the older one too, and is passed on") func newerIsGone() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(n1, 1), 1, entry(1, "alice")), from: 1)
        #expect(table.apply(gone(boot(n1, 2)), from: 2) == .applied)
        #expect(table.isEmpty)
    }
}

@Suite("The table of members: contact") struct PresenceTableContactTests {
    @Test("lost owners are hidden after the grace period only") func lost() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.apply(snapshot(boot(n2), 1, entry(1, "bob")), from: 2)
        _ = table.takeDiff(now: .zero)
        #expect(!table.hasLost)
        table.lost(1, now: at(0))
        table.lost(1, now: at(900))
        #expect(table.hasLost)
        #expect(table.expire(now: at(999), grace: .seconds(1)).isEmpty)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.expire(now: at(1000), grace: .seconds(1)) == [gone(boot())])
        #expect(said(table.takeDiff(now: .zero)) == "-alice =1")
        #expect(!table.hasLost)
    }

    @Test("contact within the grace period: nobody leaves and nobody joins", arguments: [true, false])
    func returned(_ isSnapshot: Bool) {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.takeDiff(now: .zero)
        table.lost(1, now: at(0))
        #expect(table.snapshots().isEmpty, "who is out of contact would look alive")
        let again = isSnapshot ? snapshot(boot(), 1, entry(1, "alice")) : delta(boot(), from: 1, 2, [])
        #expect(table.apply(again, from: 2) == .applied)
        #expect(table.expire(now: at(60_000), grace: .seconds(1)).isEmpty)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.snapshots().count == 1)
    }

    @Test("back after the grace period: shown again") func shownAgain() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 7, entry(1, "alice")), from: 1)
        table.lost(1, now: at(0))
        _ = table.expire(now: at(1000), grace: .seconds(1))
        _ = table.takeDiff(now: .zero)
        #expect(table.apply(snapshot(boot(), 7, entry(1, "alice")), from: 1) == .applied)
        #expect(said(table.takeDiff(now: .zero)) == "+alice =1")
    }

    @Test("what a store remembers stands until its owner speaks") func preload() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(n2), 1, entry(1, "bob")), from: 2)
        table.preload(
            [
                (boot(n1, 1), entry(1, "old")), (boot(n1, 2), entry(2, "alice")), (boot(n1, 1), entry(3, "old")),
                (boot(n2), entry(9, "ghost")),
            ],
            from: 0, now: at(0))
        #expect(said(table.takeDiff(now: .zero)) == "+alice +bob +old =3")
        #expect(table.apply(delta(boot(n1, 2), from: 3, 4, []), from: 1) == .outOfStep)
        #expect(table.apply(snapshot(boot(n1, 2), 4, entry(2, "alice")), from: 1) == .applied)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.expire(now: at(60_000), grace: .seconds(1)).isEmpty)
        #expect(said(table.takeDiff(now: .zero)) == "-old =2", "those of an earlier run may come back for as long")
    }

    @Test("what a store remembers of the dead ends with the grace period") func preloadOfTheDead() {
        var table = PresenceTable.root()
        table.preload([(boot(), entry(1, "alice"))], from: 0, now: at(0))
        _ = table.takeDiff(now: .zero)
        #expect(table.expire(now: at(5000), grace: .seconds(5)).map(\.owner) == [boot()])
        #expect(said(table.takeDiff(now: .zero)) == "-alice =0")
    }

    @Test("dropping a source forgets what was heard from it alone") func drop() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.apply(snapshot(boot(n2), 1, entry(1, "bob")), from: 2)
        table.drop(1)
        #expect(table.entries().map(\.entry.user) == ["bob"])
        #expect(table.sessionsPerRegion() == [RegionID("us"): 1])
    }
}

@Suite("The table of members: what members are told") struct PresenceTableDiffTests {
    @Test("an update is an update, also over another session or node") func updates() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.takeDiff(now: .zero)
        _ = table.apply(delta(boot(), from: 1, 2, [entry(1, "alice", .away)]), from: 1)
        #expect(said(table.takeDiff(now: .zero)) == "~alice =1")
        _ = table.apply(delta(boot(), from: 2, 3, [entry(5, "alice", .away)], removed: [1]), from: 1)
        #expect(table.takeDiff(now: .zero) == nil, "another session of hers, looking the same")
        _ = table.apply(snapshot(boot(n2), 1, entry(1, "alice", .away)), from: 2)
        _ = table.apply(delta(boot(), from: 3, 4, [], removed: [5]), from: 1)
        #expect(table.takeDiff(now: .zero) == nil, "moved to another node within a tick")
    }

    @Test("what came and went within a tick is not told") func coalesced() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1)
        _ = table.apply(delta(boot(), from: 1, 2, [], removed: [1]), from: 1)
        #expect(table.hasChanges)
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(!table.hasChanges)
    }

    @Test("invisible on any session hides her: she leaves, and joins when it ends") func invisible() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(boot(), 1, entry(1, "alice"), entry(2, "bob")), from: 1)
        _ = table.takeDiff(now: .zero)
        _ = table.apply(snapshot(boot(n2), 1, entry(1, "alice", .invisible)), from: 2)
        #expect(said(table.takeDiff(now: .zero)) == "-alice =1")
        #expect(table.member("alice") == nil && table.members.map(\.user) == ["bob"])
        _ = table.apply(snapshot(boot(n2), 2), from: 2)
        #expect(said(table.takeDiff(now: .zero)) == "+alice =2")
    }

    @Test("busy over online over away; devices are distinct") func merging() {
        #expect(Member.merging("a", [MemberEntry]()) == nil)
        let all = [
            entry(1, "a", .away, device: "x", note: "1"), entry(2, "a", .busy, device: "x", note: "2"),
            entry(3, "a", .online, device: "y", note: "3"),
        ]
        #expect(Member.merging("a", all) == Member(user: "a", status: .busy, note: "2", devices: 2))
        #expect(Member.merging("a", [all[0], all[2]]) == Member(user: "a", status: .online, note: "3", devices: 2))
        #expect(Member.merging("a", [entry(1, "a", note: "old"), entry(2, "a", note: "new")])?.note == "new")
        #expect(Member.merging("a", all + [entry(4, "a", .invisible)]) == nil)
    }

    @Test("sessions of two nodes with one number: the same answer in any order") func ties() {
        let sessions = (0..<6).map { entry(1, "a", device: "d\($0 % 3)", note: "\($0)") }
        var random = SeededRandom(seed: 3)
        let merged = Set((0..<50).map { _ in Member.merging("a", sessions.shuffled(using: &random)) })
        #expect(merged.count == 1)
    }
}

@Suite("A table that becomes the root's") struct PublishingTests {
    private let alice = Member(user: "alice", status: .online, note: "", devices: 1)

    @Test("what was published before is not told again, and who is not announced leaves after the grace period")
    func takesOver() {
        var table = PresenceTable()
        #expect(table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1) == .applied)
        #expect(!table.hasChanges, "a level that makes no diffs collects no changes")
        let zoe = Member(user: "zoe", status: .online, note: "", devices: 1)
        table.startPublishing(known: [alice, zoe], now: at(0), grace: .milliseconds(5000))
        #expect(said(table.takeDiff(now: at(100))) == "")
        #expect(table.count == 2)
        #expect(said(table.takeDiff(now: at(5000))) == "-zoe =1")
    }

    @Test("who has announced herself and goes is told at once")
    func leavesAtOnce() {
        var table = PresenceTable()
        table.startPublishing(known: [alice], now: at(0), grace: .milliseconds(5000))
        #expect(table.apply(snapshot(boot(), 1, entry(1, "alice")), from: 1) == .applied)
        #expect(said(table.takeDiff(now: at(1))) == "")
        #expect(table.apply(delta(boot(), from: 1, 2, [], removed: [1]), from: 1) == .applied)
        #expect(said(table.takeDiff(now: at(2))) == "-alice =0")
    }

    @Test("a diff is cut into parts that hold all of it") func parts() {
        var diff = MemberDiff()
        diff.joined = (0..<7).map { Member(user: "j\($0)", status: .online, note: "", devices: 1) }
        diff.left = (0..<4).map { "l\($0)" }
        diff.count = 9
        let parts = diff.parts(entriesMax: 3)
        #expect(parts.map { $0.joined.count + $0.left.count } == [3, 3, 1, 3, 1])
        #expect(parts.flatMap(\.joined) == diff.joined && parts.flatMap(\.left) == diff.left && parts.allSatisfy { $0.count == 9 })
        #expect(diff.parts(entriesMax: 11) == [diff])
    }
}

extension PresenceTable {
    /// As a root has it from the beginning.
    static func root() -> PresenceTable {
        var table = PresenceTable()
        table.startPublishing(known: [], now: .zero, grace: .zero)
        return table
    }

    /// At a time that does not matter.
    mutating func apply(_ update: OwnerUpdate, from source: ChildID) -> Outcome { apply(update, from: source, now: .zero) }
}

/// Which child it is does not matter to a table.
extension ChildID: ExpressibleByIntegerLiteral {
    public init(integerLiteral number: Int) { self = .cell(number) }
}
