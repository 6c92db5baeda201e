import MeshCore

/// What the root of a room has told about its members, and what has changed since.
///
/// Of a room with more than `listMax` members only that many are shown: who was shown first stays until she leaves, and others take the
/// places of those who left when half of them are free. So a list that somebody was given shrinks and grows with the diffs and never
/// holds a ghost, and a change costs the same whatever the size of the room.
public struct MemberPublication: Sendable {
    public static let listMaxDefault = 500

    private let listMax: Int
    private var published = SmallTable<String, Member>()
    /// Users whose merged state may have changed since the last diff.
    private var dirty: Set<String>
    /// Published users of whom nobody has announced anything since this level is the root.
    private var unheard: Set<String>
    private let holdsLeftUntil: Instant
    private var isSettling: Bool
    /// Of a large room, who is shown. Nil while all are.
    private var shown: Set<String>?
    private var toldCount: Int

    init(known: [Member], present: some Sequence<String>, holdsLeftUntil: Instant, isSettling: Bool, listMax: Int) {
        for member in known { published[member.user] = member }
        dirty = Set(present).union(published.keys)
        unheard = Set(published.keys).subtracting(present)
        self.holdsLeftUntil = holdsLeftUntil
        self.isSettling = isSettling
        self.listMax = listMax
        toldCount = published.count
    }

    var count: Int { published.count }
    var isLarge: Bool { shown != nil }
    var hasChanges: Bool { !dirty.isEmpty || toldCount != published.count }
    var shownMembers: [Member] { shown.map { $0.compactMap { published[$0] } } ?? Array(published.values) }
    func member(_ user: String) -> Member? { published[user] }

    mutating func heard(_ user: String) {
        dirty.insert(user)
        unheard.remove(user)
    }

    mutating func changed(_ user: String) { dirty.insert(user) }

    mutating func settled() { isSettling = false }

    // MARK: The diff

    mutating func takeDiff(now: Instant, merged: (String) -> Member?) -> MemberDiff? {
        guard hasChanges else { return nil }
        var diff = takeChanges(now: now, merged: merged)
        if shown == nil, published.count > listMax { shown = Set(published.keys).subtracting(diff.joined.map(\.user)) }
        if shown != nil { restrict(&diff) }
        diff.count = published.count
        diff.isLarge = isLarge
        let isCountNew = toldCount != published.count
        toldCount = published.count
        return diff.isEmpty && !isCountNew ? nil : diff
    }

    /// Applies what is dirty to what is published.
    private mutating func takeChanges(now: Instant, merged: (String) -> Member?) -> MemberDiff {
        var diff = MemberDiff()
        var held: Set<String> = []
        for user in dirty {
            let after = merged(user)
            let before = published[user]
            guard after != before else { continue }
            if after == nil, holds(user, now: now) {
                held.insert(user)
                continue
            }
            published[user] = after
            guard let after else {
                diff.left.append(user)
                continue
            }
            if before == nil { diff.joined.append(after) } else { diff.updated.append(after) }
        }
        dirty = held
        return diff
    }

    /// Whether nobody is to be told yet that the user left.
    private func holds(_ user: String, now: Instant) -> Bool { isSettling || (now < holdsLeftUntil && unheard.contains(user)) }

    // MARK: Large rooms

    /// Below this a room is no longer large. Some less than `listMax`, so that it does not go to and fro.
    private var smallAgainAt: Int { listMax * 9 / 10 }

    /// Leaves of the changes those of who is shown, and looks who is to be shown from now on.
    private mutating func restrict(_ diff: inout MemberDiff) {
        diff.joined = []
        diff.left = diff.left.filter { shown?.remove($0) != nil }
        diff.updated = diff.updated.filter { shown?.contains($0.user) == true }
        if published.count <= smallAgainAt {
            show(published.count, &diff)
            shown = nil
        } else if shown?.count ?? 0 < listMax / 2 {
            show(listMax, &diff)
        }
    }

    /// Shows more members until they are `most`.
    private mutating func show(_ most: Int, _ diff: inout MemberDiff) {
        guard var shown else { return }
        for (user, member) in published {
            guard shown.count < most else { break }
            if shown.insert(user).inserted { diff.joined.append(member) }
        }
        self.shown = shown
    }

    // MARK: Pages

    /// Keeps the first `limit + 1` names in an array that is cut when it has grown to twice as many.
    func page(after: String, limit: Int) -> (members: [Member], hasMore: Bool) {
        var names: [String] = []
        for user in published.keys where user > after {
            names.append(user)
            if names.count > 2 * (limit + 1) { Self.cut(&names, to: limit + 1) }
        }
        Self.cut(&names, to: limit + 1)
        return (names.prefix(limit).compactMap { published[$0] }, names.count > limit)
    }

    private static func cut(_ names: inout [String], to most: Int) {
        names.sort()
        names.removeLast(max(0, names.count - most))
    }
}
