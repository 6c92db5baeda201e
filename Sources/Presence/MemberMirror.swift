import MeshCore

/// The members of a room as the root shows them.
public struct MemberList: Hashable, Sendable {
    /// All of them; of a large room those that are shown.
    public var members: [Member]
    public var count: Int
    public var lastSeen: WallMilliseconds

    public init(members: [Member], count: Int, lastSeen: WallMilliseconds = 0) {
        self.members = members
        self.count = count
        self.lastSeen = lastSeen
    }
}

/// The members of a room as the root published them, kept at a level below that somebody asked for presence.
public struct MemberMirror: Sendable {
    private var members = SmallTable<String, Member>()
    public private(set) var count = 0
    public private(set) var lastSeen: WallMilliseconds = 0
    /// The last list came from a root that had not heard everybody.
    public private(set) var isSettling = false

    public init() {}

    public var all: [Member] { Array(members.values) }
    public var list: MemberList { MemberList(members: all, count: count, lastSeen: lastSeen) }
    public func member(_ user: String) -> Member? { members[user] }

    /// The state of the room at a join. What it changes against the mirror of an earlier join is returned as a diff, so that
    /// subscribers who watched through a lost link or a change of the root see updates and not a second list.
    ///
    /// - Parameter isSettling: the list may lack members who have not left.
    public mutating func reset(to list: MemberList, isSettling: Bool) -> MemberDiff? {
        var diff = MemberDiff()
        var next = SmallTable<String, Member>()
        for member in list.members {
            next[member.user] = member
            guard let old = members[member.user] else {
                diff.joined.append(member)
                continue
            }
            if old != member { diff.updated.append(member) }
        }
        if isSettling {
            for (user, member) in next { members[user] = member }
        } else {
            diff.left = members.keys.filter { next[$0] == nil }
            members = next
        }
        self.isSettling = isSettling
        let before = count
        set(count: list.count)
        lastSeen = max(lastSeen, list.lastSeen)
        diff.count = count
        diff.lastSeen = lastSeen
        return diff.isEmpty && count == before ? nil : diff
    }

    /// The user whose inbox the room is was deleted.
    public mutating func forgetLastSeen() { lastSeen = 0 }

    /// Takes a diff of the root over.
    ///
    /// - Returns: what it changes here, nil for nothing: a root that is new may tell of members that are known.
    public mutating func apply(_ diff: MemberDiff) -> MemberDiff? {
        var effect = diff
        effect.joined = []
        effect.updated = []
        for member in diff.joined + diff.updated {
            let old = members.updateValue(member, forKey: member.user)
            if old == nil { effect.joined.append(member) } else if old != member { effect.updated.append(member) }
        }
        effect.left = diff.left.filter { members.removeValue(forKey: $0) != nil }
        let before = (count, lastSeen)
        set(count: diff.count)
        effect.count = count
        if diff.lastSeen > 0 { lastSeen = diff.lastSeen }
        return effect.isEmpty && before == (count, lastSeen) ? nil : effect
    }

    /// A root that has not heard everybody counts too few.
    private mutating func set(count newCount: Int) {
        count = isSettling ? max(newCount, members.count) : newCount
    }
}
