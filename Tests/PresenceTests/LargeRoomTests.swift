import MeshCore
import Presence
import Testing

private let owner = NodeBoot(node: NodeID(region: RegionID("eu"), name: "n1"), boot: 1)

private func entry(_ number: Int, _ status: Status = .online) -> MemberEntry {
    MemberEntry(session: UInt64(number), user: "u\(number)", device: "d", status: status, note: "")
}

/// A room whose list holds 10 at most, and a client's list that is kept from its diffs alone.
private struct Room {
    var table = PresenceTable()
    var version: UInt64 = 1
    var list: [String: Member] = [:]

    init() {
        table.startPublishing(known: [], now: .zero, grace: .zero, listMax: 10)
        _ = table.apply(OwnerUpdate(owner: owner, version: 1, content: .snapshot([])), from: 1)
    }

    mutating func change(_ upserted: [MemberEntry], removed: [Int] = []) -> MemberDiff? {
        version += 1
        let content = OwnerUpdate.Content.delta(from: version - 1, upserted: upserted, removed: removed.map(UInt64.init))
        #expect(table.apply(OwnerUpdate(owner: owner, version: version, content: content), from: 1) == .applied)
        let diff = table.takeDiff(now: .zero)
        for member in (diff?.joined ?? []) + (diff?.updated ?? []) { list[member.user] = member }
        for user in diff?.left ?? [] { #expect(list.removeValue(forKey: user) != nil, "\(user) was not shown") }
        #expect(Set(list.values) == Set(table.members))
        return diff
    }
}

@Suite("A room with more members than a list holds") struct LargeRoomTests {
    @Test("who was shown first stays, the others are counted") func sample() {
        var room = Room()
        _ = room.change((0..<10).map { entry($0) })
        #expect(!room.table.isLarge && room.list.count == 10)
        let diff = room.change((10..<15).map { entry($0) })
        #expect(room.table.isLarge && diff?.isLarge == true)
        #expect(diff?.joined == [] && diff?.updated == [] && diff?.left == [] && diff?.count == 15)
        #expect(Set(room.list.keys) == Set((0..<10).map { "u\($0)" }))
        #expect(room.change([entry(12, .busy)]) == nil, "who is not shown is not told of")
        #expect(room.change([entry(3, .busy)])?.updated.map(\.user) == ["u3"])
        let left = room.change([], removed: [3, 12])
        #expect(left?.left == ["u3"] && left?.joined == [] && left?.count == 13)
    }

    @Test("a crowd that comes at once is shown as a sample") func crowd() {
        var room = Room()
        let diff = room.change((0..<1000).map { entry($0) })
        #expect(diff?.joined.count == 10 && diff?.count == 1000 && diff?.isLarge == true)
    }

    @Test("the places of those who left are given to others when half of them are free") func refill() {
        var room = Room()
        _ = room.change((0..<10).map { entry($0) })
        _ = room.change((10..<100).map { entry($0) })
        for number in 0..<5 { #expect(room.change([], removed: [number])?.joined == []) }
        #expect(room.list.count == 5)
        let diff = room.change([], removed: [5])
        #expect(diff?.left == ["u5"] && diff?.joined.count == 6 && room.list.count == 10 && diff?.count == 94)
    }

    @Test("a room that shrinks shows all of its members again, some below the bound") func shrinks() {
        var room = Room()
        _ = room.change((0..<10).map { entry($0) })
        _ = room.change((10..<13).map { entry($0) })
        _ = room.change([entry(11, .away)], removed: [0, 1, 2])
        #expect(room.table.isLarge && room.table.count == 10 && room.list.count == 7)
        let diff = room.change([], removed: [4])
        #expect(!room.table.isLarge && diff?.isLarge == false && diff?.count == 9)
        #expect(Set(diff?.joined.map(\.user) ?? []) == ["u10", "u11", "u12"] && diff?.left == ["u4"])
        #expect(room.list["u11"]?.status == .away)
        _ = room.change((20..<21).map { entry($0) })
        #expect(!room.table.isLarge && room.list.count == 10)
    }

    @Test(
        "random crowds: a list that is kept from the diffs holds nobody who left, and all when they are few",
        arguments: 0..<50 as Range<UInt64>)
    func random(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var room = Room()
        var there: Set<Int> = []
        for _ in 0..<200 {
            let numbers = (0..<Int.random(in: 1...6, using: &random)).map { _ in Int.random(in: 0..<30, using: &random) }
            let leaving = Bool.random(using: &random)
            if leaving { there.subtract(numbers) } else { there.formUnion(numbers) }
            let statuses: [Status] = [.online, .away, .busy]
            _ = room.change(
                leaving ? [] : Set(numbers).map { entry($0, statuses[Int.random(in: 0..<3, using: &random)]) },
                removed: leaving ? numbers : [])
            #expect(room.table.count == there.count, "seed \(seed)")
            #expect(Set(room.list.keys).isSubset(of: there.map { "u\($0)" }), "seed \(seed)")
            if !room.table.isLarge { #expect(room.list.count == there.count, "seed \(seed)") }
            #expect(room.list.count <= 10 && room.table.isLarge == (room.table.isLarge && there.count > 9), "seed \(seed)")
        }
    }

    @Test("pages hold every member once, in order", arguments: [1, 3, 7, 100, 1000])
    func pages(_ limit: Int) {
        var room = Room()
        _ = room.change((0..<100).map { entry($0) })
        var names: [String] = []
        var after = ""
        while true {
            let page = room.table.page(after: after, limit: limit)
            names += page.members.map(\.user)
            #expect(page.members.count <= limit)
            guard page.hasMore, let last = page.members.last else { break }
            after = last.user
        }
        #expect(names == (0..<100).map { "u\($0)" }.sorted())
    }
}
