import MeshCore
import Presence
import Testing

private let n1 = NodeBoot(node: NodeID(region: RegionID("eu"), name: "n1"), boot: 1)
private let n2 = NodeBoot(node: NodeID(region: RegionID("us"), name: "n2"), boot: 1)

private func entry(
    _ session: UInt64, _ status: Status = .online, device: String = "d", identity: UInt64 = 7, taken: UInt64 = 0
) -> MemberEntry {
    MemberEntry(session: session, user: "alice", device: device, status: status, note: "", identity: identity, taken: taken)
}

private func snapshot(_ owner: NodeBoot, _ version: UInt64, _ entries: MemberEntry...) -> OwnerUpdate {
    OwnerUpdate(owner: owner, version: version, content: .snapshot(entries))
}

@Suite("Copies of one session") struct TakeoverTests {
    @Test("only the newest copy counts, in any order") func newest() {
        let copies = [
            entry(1, .busy, device: "old"), entry(2, .away, device: "new", taken: 9), entry(3, .online, device: "older", taken: 4),
        ]
        var random = SeededRandom(seed: 1)
        for _ in 0..<20 {
            let merged = Member.merging("alice", copies.shuffled(using: &random))
            #expect(merged == Member(user: "alice", status: .away, note: "", devices: 1))
        }
        #expect(!Member.isHidden([entry(1, .invisible), entry(2, taken: 1)]))
        #expect(Member.isHidden([entry(1), entry(2, .invisible, taken: 1)]))
        #expect(Member.isHidden([entry(1, identity: 1), entry(2, .invisible, identity: 2)]))
    }

    @Test("sessions without an identity, and of others, are sessions of their own") func others() {
        let merged = Member.merging(
            "alice", [entry(1, device: "a", identity: 0), entry(1, device: "b", identity: 0), entry(5, device: "c")])
        #expect(merged?.devices == 3)
    }

    @Test("equal copies are one, the same in any order") func equal() {
        let copies = [entry(1, .busy, taken: 3), entry(2, .away, taken: 3), entry(2, .away, taken: 3)]
        var random = SeededRandom(seed: 1)
        #expect(Set((0..<20).map { _ in Member.merging("alice", copies.shuffled(using: &random)) }).count == 1)
        #expect(Member.merging("alice", copies)?.devices == 1)
    }

    @Test("whichever owner is heard first, nobody sees her leave or twice", arguments: [true, false])
    func handOver(_ newOwnerFirst: Bool) {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(n1, 1, entry(1, .busy)), from: 1)
        #expect(table.takeDiff(now: .zero)?.joined.count == 1)
        let arrives = snapshot(n2, 1, entry(5, .busy, taken: 1))
        let goes = OwnerUpdate(owner: n1, version: 2, content: .delta(from: 1, upserted: [], removed: [1]))
        // The old owner keeps it for a hand-over time; if it were late all the same, both are in one tick.
        for update in newOwnerFirst ? [(arrives, 2), (goes, 1)] : [(goes, 1), (arrives, 2)] {
            #expect(table.apply(update.0, from: .cell(update.1)) == .applied)
        }
        #expect(table.takeDiff(now: .zero) == nil)
        #expect(table.member("alice") == Member(user: "alice", status: .busy, note: "", devices: 1))
    }

    @Test("while both are there the new owner's status is shown, and goes with it") func both() {
        var table = PresenceTable.root()
        _ = table.apply(snapshot(n1, 1, entry(1, .busy)), from: 1)
        _ = table.apply(snapshot(n2, 1, entry(5, .away, taken: 1)), from: 2)
        #expect(table.takeDiff(now: .zero)?.joined.first?.status == .away)
        _ = table.apply(OwnerUpdate(owner: n1, version: 2, content: .delta(from: 1, upserted: [entry(1, .online)], removed: [])), from: 1)
        #expect(table.takeDiff(now: .zero) == nil)
    }
}

@Suite("A root that is new") struct SettlingTests {
    @Test("nobody is told to have left before everybody was heard") func holds() {
        var table = PresenceTable()
        _ = table.apply(snapshot(n1, 1, entry(1, device: "a", identity: 1)), from: 1)
        table.startPublishing(known: [], now: .zero, grace: .zero, isSettling: true)
        #expect(table.takeDiff(now: .zero)?.joined.count == 1)
        // She is on another node too, which has not been heard yet.
        _ = table.apply(OwnerUpdate(owner: n1, version: 2, content: .delta(from: 1, upserted: [], removed: [1])), from: 1)
        #expect(table.takeDiff(now: .zero) == nil && table.hasChanges)
        _ = table.apply(snapshot(n2, 1, entry(1, device: "b", identity: 2)), from: 2)
        table.settled()
        #expect(table.takeDiff(now: .zero) == nil && table.count == 1)
        _ = table.apply(OwnerUpdate(owner: n2, version: 2, content: .delta(from: 1, upserted: [], removed: [1])), from: 2)
        #expect(table.takeDiff(now: .zero)?.left == ["alice"])
    }

    @Test("who was known and is not announced leaves after the grace period, also when everybody was heard") func known() {
        var table = PresenceTable()
        let zoe = Member(user: "zoe", status: .online, note: "", devices: 1)
        table.startPublishing(known: [zoe], now: .zero, grace: .seconds(5), isSettling: true)
        table.settled()
        #expect(table.takeDiff(now: .zero + .seconds(4)) == nil && table.count == 1)
        #expect(table.takeDiff(now: .zero + .seconds(5))?.left == ["zoe"])
    }
}

@Suite("What is too large for one frame") struct UpdatePartsTests {
    private func many(_ count: Int) -> [MemberEntry] {
        (0..<count).map { MemberEntry(session: UInt64($0), user: "user-\($0)", device: "d", status: .online, note: "", identity: 1) }
    }

    private func isWhole(_ update: OwnerUpdate, bytesGoal: Int) -> Bool {
        let groups = OwnerUpdate.groups([update], bytesGoal: bytesGoal)
        var assembly = UpdateAssembly<Int>()
        let whole = groups.joined().compactMap { assembly.take($0, from: 1) }
        return whole == [update] && assembly.isEmpty
    }

    @Test("parts make the whole", arguments: [1, 100, 1_000, 100_000])
    func roundTrip(_ bytesGoal: Int) {
        let removed = (0..<300).map { UInt64($0) }
        #expect(isWhole(OwnerUpdate(owner: n1, version: 3, content: .snapshot(many(200))), bytesGoal: bytesGoal))
        #expect(isWhole(OwnerUpdate(owner: n1, version: 3, content: .snapshot([])), bytesGoal: bytesGoal))
        #expect(
            isWhole(
                OwnerUpdate(owner: n1, version: 3, content: .delta(from: 2, upserted: many(200), removed: removed)), bytesGoal: bytesGoal))
        #expect(isWhole(OwnerUpdate(owner: n1, version: 3, content: .gone), bytesGoal: bytesGoal))
    }

    @Test("no part and no group is much larger than wanted") func sizes() {
        let update = OwnerUpdate(owner: n1, version: 3, content: .snapshot(many(10_000)))
        let groups = OwnerUpdate.groups([update, update], bytesGoal: 100_000)
        #expect(groups.count > 10)
        for group in groups {
            let entries = group.map { part in if case .snapshot(let entries) = part.update.content { entries.count } else { 0 } }.reduce(
                0, +)
            #expect(entries > 0 && entries < 1_600)
        }
        let small = OwnerUpdate(owner: n1, version: 3, content: .snapshot(many(1)))
        #expect(OwnerUpdate.groups([small, small, small], bytesGoal: 100_000).count == 1)
    }

    @Test("an unfinished update is forgotten when a new one begins, or its source is lost") func interrupted() {
        let update = OwnerUpdate(owner: n1, version: 3, content: .snapshot(many(50)))
        let parts = update.parts(bytesGoal: 1_000)
        #expect(parts.count > 3)
        var assembly = UpdateAssembly<Int>()
        #expect(assembly.take(parts[0], from: 1) == nil && assembly.take(parts[1], from: 1) == nil)
        #expect(assembly.take(parts[0], from: 2) == nil, "sources do not disturb each other")
        #expect(parts.compactMap { assembly.take($0, from: 1) } == [update])
        #expect(assembly.take(parts[0], from: 1) == nil)
        assembly.forget(1)
        assembly.forget(2)
        #expect(assembly.isEmpty)
        #expect(parts.dropFirst().allSatisfy { assembly.take($0, from: 1) == nil } && assembly.isEmpty)
        #expect(assembly.take(parts[0], from: 1) == nil && assembly.take(parts[2], from: 1) == nil && assembly.isEmpty)
    }
}
