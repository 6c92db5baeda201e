import MeshCore

/// The members of one room as one level of its tree knows them: each owner's set with its version, and where it was heard. The root
/// merges them into members and publishes the differences; a level in between only passes them on.
///
/// Order is by (boot, version): what is not newer is an allowed drop. An owner that cannot be heard any more is hidden after the grace
/// period and shown again on contact (promise P7).
public struct PresenceTable<Source: Hashable & Sendable>: Sendable {
    struct Owner: Sendable {
        var boot: Boot
        var version: UInt64
        var source: Source
        var entries: [UInt64: MemberEntry]
        /// Set while its source is out of contact.
        var lostAt: Instant?
    }

    private struct SessionReference: Hashable, Sendable {
        var node: NodeID
        var session: UInt64
    }

    public enum Outcome: Hashable, Sendable {
        case applied
        /// Older than what is known.
        case stale
        /// A delta that does not follow on what is known: the owner has to send a snapshot.
        case outOfStep
    }

    private var owners: [NodeID: Owner] = [:]
    /// Where a user's sessions are to be found; few for each, so a list is smaller than a table and as fast.
    private var byUser: [String: [SessionReference]] = [:]
    private var published: [String: Member] = [:]
    /// Users whose merged state may have changed since the last diff. Kept only where diffs are made: at a root.
    private var dirty: Set<String> = []
    private var isPublishing = false
    /// Until then nobody is told to have left: whoever was there may still have to announce herself.
    private var holdsLeftUntil = Instant.zero
    /// Published users of whom nobody has announced anything since this level is the root.
    private var unheard: Set<String> = []

    public init() {}

    /// No session is known. Owners may still be remembered with their versions, so that late announcements are recognized.
    public var isEmpty: Bool { byUser.isEmpty }
    /// Members that were published, so that a joiner's list and the diffs that follow fit together.
    public var members: [Member] { Array(published.values) }
    public var count: Int { published.count }
    public var hasChanges: Bool { !dirty.isEmpty }
    public func member(_ user: String) -> Member? { published[user] }
    /// One invisible session hides a user altogether.
    public func isHidden(_ user: String) -> Bool { entries(of: user).contains { $0.status == .invisible } }

    // MARK: What owners say

    public mutating func apply(_ update: OwnerUpdate, from source: Source) -> Outcome {
        let node = update.owner.node
        if let known = owners[node] {
            if update.owner.boot < known.boot { return .stale }
            if update.owner.boot > known.boot {
                forget(node)
                if update.content == .gone { return .applied }
            }
        }
        switch update.content {
        case .snapshot(let entries): return replace(update, entries, from: source)
        case .delta(let from, let upserted, let removed):
            return change(update, from: from, upserted: upserted, removed: removed, source: source)
        case .gone:
            guard let known = owners[node], known.source == source else { return .stale }
            forget(node)
            return .applied
        }
    }

    private mutating func replace(_ update: OwnerUpdate, _ entries: [MemberEntry], from source: Source) -> Outcome {
        let node = update.owner.node
        if let known = owners[node], known.version > update.version { return .stale }
        let old = owners[node]?.entries ?? [:]
        for (session, entry) in old { unindex(entry, node, session) }
        var fresh: [UInt64: MemberEntry] = [:]
        for entry in entries {
            fresh[entry.session] = entry
            index(entry, node)
        }
        owners[node] = Owner(boot: update.owner.boot, version: update.version, source: source, entries: fresh)
        return .applied
    }

    private mutating func change(
        _ update: OwnerUpdate, from: UInt64, upserted: [MemberEntry], removed: [UInt64], source: Source
    ) -> Outcome {
        let node = update.owner.node
        guard var owner = owners[node] else { return .outOfStep }
        if update.version <= owner.version { return .stale }
        guard from == owner.version else { return .outOfStep }
        for session in removed {
            if let entry = owner.entries.removeValue(forKey: session) { unindex(entry, node, session) }
        }
        for entry in upserted {
            if let old = owner.entries.updateValue(entry, forKey: entry.session) { unindex(old, node, entry.session) }
            index(entry, node)
        }
        owner.version = update.version
        owner.source = source
        owner.lostAt = nil
        owners[node] = owner
        return .applied
    }

    // MARK: Contact

    /// The way to everything heard from `source` is gone: hidden when `expire` is called after the grace period.
    public mutating func lost(_ source: Source, now: Instant) {
        for (node, owner) in owners where owner.source == source && owner.lostAt == nil { owners[node]?.lostAt = now }
    }

    /// Entries that a store remembers, for a root that starts: shown until their owner speaks or the grace period ends. Owners that
    /// have spoken are left as they are.
    public mutating func preload(_ entries: [(owner: NodeBoot, entry: MemberEntry)], from source: Source, now: Instant) {
        let spoken = Set(owners.keys)
        for (owner, entry) in entries where !spoken.contains(owner.node) {
            let newest = owners[owner.node]
            if let newest, newest.boot > owner.boot { continue }
            if let newest, newest.boot < owner.boot { forget(owner.node) }
            owners[owner.node, default: Owner(boot: owner.boot, version: 0, source: source, entries: [:], lostAt: now)]
                .entries[entry.session] = entry
            index(entry, owner.node)
        }
    }

    public var sources: Set<Source> { Set(owners.values.map(\.source)) }

    /// Forgets what was heard from `source`, without telling anybody: it is heard elsewhere.
    public mutating func drop(_ source: Source) {
        for (node, owner) in owners where owner.source == source { forget(node) }
    }

    public var hasLost: Bool { owners.values.contains { $0.lostAt != nil } }

    /// Forgets the owners that were out of contact for `grace`; the answer is what to say upwards.
    public mutating func expire(now: Instant, grace: TimeSpan) -> [OwnerUpdate] {
        var gone: [OwnerUpdate] = []
        for (node, owner) in owners {
            guard let lostAt = owner.lostAt, now - lostAt >= grace else { continue }
            gone.append(OwnerUpdate(owner: NodeBoot(node: node, boot: owner.boot), version: owner.version, content: .gone))
            forget(node)
        }
        return gone
    }

    /// Everything known, for a parent that is new or came back. Owners out of contact are left out: they would look alive.
    public func snapshots() -> [OwnerUpdate] {
        owners.compactMap { node, owner in
            guard owner.lostAt == nil else { return nil }
            return OwnerUpdate(
                owner: NodeBoot(node: node, boot: owner.boot), version: owner.version, content: .snapshot(Array(owner.entries.values)))
        }
    }

    public func entries() -> [(owner: NodeBoot, entry: MemberEntry)] {
        owners.flatMap { node, owner in owner.entries.values.map { (NodeBoot(node: node, boot: owner.boot), $0) } }
    }

    // MARK: What members are told

    /// This level is the root from now on and makes the diffs. `known` is what was published before, as it was heard here: nobody is told
    /// about them again, and who does not announce herself within `grace` has left.
    public mutating func startPublishing(known: [Member], now: Instant, grace: TimeSpan) {
        guard !isPublishing else { return }
        isPublishing = true
        holdsLeftUntil = now + grace
        published = Dictionary(known.map { ($0.user, $0) }, uniquingKeysWith: { _, last in last })
        dirty = Set(byUser.keys).union(published.keys)
        unheard = Set(published.keys).subtracting(byUser.keys)
    }

    public mutating func stopPublishing() {
        isPublishing = false
        published.removeAll()
        dirty.removeAll()
        unheard.removeAll()
    }

    /// The difference to the last call, merged over everything that happened since; nil for none.
    public mutating func takeDiff(now: Instant) -> MemberDiff? {
        guard !dirty.isEmpty else { return nil }
        var diff = MemberDiff()
        var held: Set<String> = []
        for user in dirty {
            let merged = Member.merging(user, entries(of: user))
            let before = published[user]
            guard merged != before else { continue }
            if merged == nil, now < holdsLeftUntil, unheard.contains(user) {
                held.insert(user)
                continue
            }
            published[user] = merged
            if let merged {
                if before == nil { diff.joined.append(merged) } else { diff.updated.append(merged) }
            } else {
                diff.left.append(user)
            }
        }
        dirty = held
        diff.count = published.count
        return diff.isEmpty ? nil : diff
    }

    /// Devices of users by region of their session, for the operations page.
    public func sessionsPerRegion() -> [RegionID: Int] {
        owners.reduce(into: [:]) { $0[$1.key.region, default: 0] += $1.value.entries.count }
    }

    private func entries(of user: String) -> [MemberEntry] {
        (byUser[user] ?? []).compactMap { owners[$0.node]?.entries[$0.session] }
    }

    private mutating func forget(_ node: NodeID) {
        guard let owner = owners.removeValue(forKey: node) else { return }
        for (session, entry) in owner.entries { unindex(entry, node, session) }
    }

    private mutating func index(_ entry: MemberEntry, _ node: NodeID) {
        byUser[entry.user, default: []].append(SessionReference(node: node, session: entry.session))
        if isPublishing {
            dirty.insert(entry.user)
            unheard.remove(entry.user)
        }
    }

    private mutating func unindex(_ entry: MemberEntry, _ node: NodeID, _ session: UInt64) {
        if isPublishing { dirty.insert(entry.user) }
        byUser[entry.user]?.removeAll { $0 == SessionReference(node: node, session: session) }
        if byUser[entry.user]?.isEmpty == true { byUser[entry.user] = nil }
    }
}
