import MeshCore
import Presence
import Testing

/// Owners announce to a root through two levels in between, over links that lose, and after losses announce again. Whatever happened
/// on the way, after a last announcement the table is the truth, and the diffs of the root add up to it.
private struct PresenceModel {
    typealias Table = PresenceTable

    struct Node {
        var id: NodeID
        var boot: Boot = 1
        var owned = OwnedMembers()
        var version: UInt64 = 0
        /// The level that this node announces to.
        var parent: Int
    }

    var random: SeededRandom
    var nodes: [Node]
    var levels = [Table(), Table()]
    var root = Table.root()
    /// A subscriber's list, kept from the root's diffs alone.
    var list: [String: Member] = [:]
    var now = Instant.zero
    var diffsWithNothing = 0

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        nodes = (0..<4).map { Node(id: NodeID(region: RegionID("r\($0 % 2)"), name: "n\($0)"), parent: $0 % 2) }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func step(lossPercent: Int) {
        now = now + .milliseconds(100)
        let index = Int.random(in: 0..<nodes.count, using: &random)
        switch Int.random(in: 0..<12, using: &random) {
        case 0: restart(index)
        case 1: move(index, lossPercent: lossPercent)
        case 2: loseLevel(index % 2, lossPercent: lossPercent)
        default: change(index, lossPercent: lossPercent)
        }
        for level in levels.indices {
            for update in levels[level].expire(now: now, grace: .seconds(1)) { up(update, from: level, lossPercent: lossPercent) }
        }
        _ = root.expire(now: now, grace: .seconds(1))
        takeDiff()
    }

    mutating func restart(_ index: Int) {
        nodes[index].boot += 1
        nodes[index].owned = OwnedMembers()
        nodes[index].version = 0
        levels[nodes[index].parent].lost(.cell(index), now: now)
    }

    mutating func move(_ index: Int, lossPercent: Int) {
        levels[nodes[index].parent].lost(.cell(index), now: now)
        nodes[index].parent = 1 - nodes[index].parent
        announce(index, lossPercent: lossPercent)
    }

    mutating func loseLevel(_ level: Int, lossPercent: Int) {
        root.lost(.cell(level), now: now)
        for update in levels[level].snapshots() { up(update, from: level, lossPercent: lossPercent) }
    }

    mutating func change(_ index: Int, lossPercent: Int) {
        let session = UInt64.random(in: 1...5, using: &random)
        if chance(35) {
            nodes[index].owned.remove(session)
        } else {
            let statuses: [Status] = [.online, .away, .busy, .invisible]
            nodes[index].owned.upsert(
                MemberEntry(
                    session: session, user: "u\(Int.random(in: 0..<6, using: &random))",
                    device: "d\(Int.random(in: 0..<3, using: &random))",
                    status: statuses[Int.random(in: 0..<4, using: &random)], note: "\(Int.random(in: 0..<3, using: &random))"))
        }
        guard let update = takeUpdate(index) else { return }
        say(update, index, lossPercent: lossPercent)
    }

    mutating func takeUpdate(_ index: Int) -> OwnerUpdate? {
        var version = nodes[index].version
        defer { nodes[index].version = version }
        return nodes[index].owned.takeUpdate(owner: NodeBoot(node: nodes[index].id, boot: nodes[index].boot)) {
            version += 1
            return version
        }
    }

    /// A snapshot of all that a node owns.
    mutating func announce(_ index: Int, lossPercent: Int) {
        _ = takeUpdate(index)
        let owner = NodeBoot(node: nodes[index].id, boot: nodes[index].boot)
        let entries = Array(nodes[index].owned.entries.values)
        say(OwnerUpdate(owner: owner, version: nodes[index].version, content: .snapshot(entries)), index, lossPercent: lossPercent)
    }

    mutating func say(_ update: OwnerUpdate, _ index: Int, lossPercent: Int) {
        guard !chance(lossPercent) else { return }
        switch levels[nodes[index].parent].apply(update, from: .cell(index), now: now) {
        case .applied: up(update, from: nodes[index].parent, lossPercent: lossPercent)
        case .stale: break
        case .outOfStep: announce(index, lossPercent: lossPercent)
        }
    }

    mutating func up(_ update: OwnerUpdate, from level: Int, lossPercent: Int) {
        guard !chance(lossPercent) else { return }
        if root.apply(update, from: .cell(level), now: now) == .outOfStep {
            for snapshot in levels[level].snapshots() where !chance(lossPercent) { _ = root.apply(snapshot, from: .cell(level), now: now) }
        }
    }

    mutating func takeDiff() {
        guard let diff = root.takeDiff(now: .zero) else { return }
        if diff.isEmpty { diffsWithNothing += 1 }
        for member in diff.joined {
            #expect(list.updateValue(member, forKey: member.user) == nil, "joined twice: \(member.user)")
        }
        for member in diff.updated {
            let old = list.updateValue(member, forKey: member.user)
            #expect(old != nil && old != member, "an update of nothing: \(member.user)")
        }
        for user in diff.left { #expect(list.removeValue(forKey: user) != nil, "left twice: \(user)") }
        #expect(diff.count == list.count)
    }

    var truth: [String: Member] {
        let all = nodes.flatMap { $0.owned.entries.values }
        return Dictionary(grouping: all, by: \.user).compactMapValues { Member.merging($0[0].user, $0) }
    }

    /// The faults stop: everybody announces once.
    mutating func settle() {
        for index in nodes.indices { announce(index, lossPercent: 0) }
        for level in levels.indices {
            for snapshot in levels[level].snapshots() { up(snapshot, from: level, lossPercent: 0) }
        }
        now = now + .seconds(10)
        for level in levels.indices {
            for update in levels[level].expire(now: now, grace: .seconds(1)) { up(update, from: level, lossPercent: 0) }
        }
        _ = root.expire(now: now, grace: .seconds(1))
        takeDiff()
    }
}

@Suite("Presence converges") struct ConvergenceTests {
    @Test("after a last announcement the table and the subscriber's list are the truth", arguments: 0..<200 as Range<UInt64>)
    func converges(_ seed: UInt64) {
        var model = PresenceModel(seed: seed)
        let lossPercent = [0, 10, 30, 60][Int(seed % 4)]
        for _ in 0..<120 { model.step(lossPercent: lossPercent) }
        model.settle()
        #expect(model.list == model.truth, "seed \(seed)")
        #expect(Dictionary(uniqueKeysWithValues: model.root.members.map { ($0.user, $0) }) == model.truth, "seed \(seed)")
        #expect(model.diffsWithNothing == 0)
    }
}
