import MeshCore

/// The members of a room as the root published them, kept at a level below that somebody asked for presence.
public struct MemberMirror: Sendable {
    private var members: [String: Member] = [:]
    public private(set) var count = 0
    public private(set) var lastSeen: WallMilliseconds = 0

    public init() {}

    public var all: [Member] { Array(members.values) }
    public func member(_ user: String) -> Member? { members[user] }

    /// The state of the room at a join. What it changes against the mirror of an earlier join is returned as a diff, so that
    /// subscribers who watched through a lost link see updates and not a second list. Of a list that was cut (shorter than the count) nobody
    /// is concluded to have left.
    public mutating func reset(to fresh: [Member], count newCount: Int, lastSeen seen: WallMilliseconds) -> MemberDiff? {
        var diff = MemberDiff()
        var next: [String: Member] = [:]
        for member in fresh {
            next[member.user] = member
            guard let old = members[member.user] else {
                diff.joined.append(member)
                continue
            }
            if old != member { diff.updated.append(member) }
        }
        if fresh.count >= newCount {
            diff.left = members.keys.filter { next[$0] == nil }
            members = next
        } else {
            members.merge(next) { _, new in new }
        }
        count = newCount
        lastSeen = seen
        diff.count = newCount
        diff.lastSeen = seen
        return diff.isEmpty ? nil : diff
    }

    /// The user whose inbox the room is was deleted.
    public mutating func forgetLastSeen() { lastSeen = 0 }

    public mutating func apply(_ diff: MemberDiff) {
        for member in diff.joined { members[member.user] = member }
        for member in diff.updated { members[member.user] = member }
        for user in diff.left { members[user] = nil }
        count = diff.count
        if diff.lastSeen > 0 { lastSeen = diff.lastSeen }
    }
}
