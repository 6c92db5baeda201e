import MeshCore

/// Changes of a room's members that a slow reader has not been told, folded into what they come to for each user.
public struct PresenceFold: Sendable {
    private enum Change: Sendable {
        case joined(Member)
        case updated(Member)
        case left
    }

    private var changes: [String: Change] = [:]
    private var count = 0

    public init() {}

    public var users: Int { changes.count }

    public mutating func add(_ diff: MemberDiff) {
        for member in diff.joined { join(member) }
        for member in diff.updated { update(member) }
        for user in diff.left { leave(user) }
        count = diff.count
    }

    private mutating func join(_ member: Member) {
        // She left and came back unseen: for the reader she was there all the time.
        if case .left = changes[member.user] { changes[member.user] = .updated(member) } else { changes[member.user] = .joined(member) }
    }

    private mutating func update(_ member: Member) {
        if case .joined = changes[member.user] { changes[member.user] = .joined(member) } else { changes[member.user] = .updated(member) }
    }

    private mutating func leave(_ user: String) {
        // She came and went unseen.
        if case .joined = changes[user] { changes[user] = nil } else { changes[user] = .left }
    }

    /// What to tell the reader; users in order of their names.
    public var diff: MemberDiff {
        var diff = MemberDiff()
        diff.count = count
        for (user, change) in changes.sorted(by: { $0.key < $1.key }) {
            switch change {
            case .joined(let member): diff.joined.append(member)
            case .updated(let member): diff.updated.append(member)
            case .left: diff.left.append(user)
            }
        }
        return diff
    }
}
