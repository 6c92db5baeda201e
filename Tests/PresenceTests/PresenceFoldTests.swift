import MeshCore
import Presence
import Testing

private func member(_ user: String, _ status: Status = .online) -> Member { Member(user: user, status: status, note: "", devices: 1) }

private func fold(_ diffs: [(joined: [Member], updated: [Member], left: [String])]) -> MemberDiff {
    var fold = PresenceFold()
    for (index, change) in diffs.enumerated() {
        var diff = MemberDiff()
        (diff.joined, diff.updated, diff.left, diff.count) = (change.joined, change.updated, change.left, index)
        fold.add(diff)
    }
    return fold.diff
}

@Suite("Presence folded for a slow reader") struct PresenceFoldTests {
    @Test("the latest state of each user, and the latest count") func latest() {
        let diff = fold([([member("a")], [], []), ([member("b")], [member("a", .busy)], []), ([], [member("a", .away)], [])])
        #expect(diff.joined == [member("a", .away), member("b")] && diff.updated.isEmpty && diff.left.isEmpty && diff.count == 2)
    }

    @Test("who came and went was never there; who went and came was there all the time") func cancelled() {
        let diff = fold([([member("a")], [], ["b"]), ([member("b", .busy)], [], ["a"])])
        #expect(diff.joined.isEmpty && diff.left.isEmpty && diff.updated == [member("b", .busy)])
    }

    @Test("an update before a leave is a leave") func left() {
        let diff = fold([([], [member("a", .busy)], []), ([], [], ["a"])])
        #expect(diff.left == ["a"] && diff.updated.isEmpty)
    }

    /// The reader applies what she is told to what she knew: she must end where somebody ends who was told everything.
    @Test("telling the fold comes to the same as telling everything", arguments: 0..<200) func sameEnd(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let users = ["a", "b", "c"]
        var truth: [String: Member] = [:]
        for user in users where Bool.random(using: &random) { truth[user] = member(user) }
        var reader = truth
        var fold = PresenceFold()
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            var diff = MemberDiff()
            let user = users.randomElement(using: &random) ?? "a"
            let fresh = member(user, Bool.random(using: &random) ? .busy : .away)
            if truth[user] == nil {
                diff.joined = [fresh]
                truth[user] = fresh
            } else if Bool.random(using: &random) {
                diff.updated = [fresh]
                truth[user] = fresh
            } else {
                diff.left = [user]
                truth[user] = nil
            }
            diff.count = truth.count
            fold.add(diff)
        }
        let told = fold.diff
        for member in told.joined {
            #expect(reader[member.user] == nil, "seed \(seed): \(member.user) joined twice")
            reader[member.user] = member
        }
        for member in told.updated {
            #expect(reader[member.user] != nil, "seed \(seed): \(member.user) was updated and not there")
            reader[member.user] = member
        }
        for user in told.left {
            #expect(reader[user] != nil, "seed \(seed): \(user) left and was not there")
            reader[user] = nil
        }
        #expect(reader == truth, "seed \(seed)")
    }
}
