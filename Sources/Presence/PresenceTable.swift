import MeshCore

/// Where a session is to be found.
private struct SessionReference: Hashable, Sendable {
    var owner: NodeBoot
    var session: UInt64
}

/// The members of one room as one level of its tree knows them: each owner's set with its version, and where it was heard. The root
/// merges them into members and publishes the differences; a level in between only passes them on.
///
/// Order is by (boot, version): what is not newer is an allowed drop. An owner that cannot be heard any more is hidden after the grace
/// period and shown again on contact (promise P7). So is one whose node has started anew: its sessions may come back within that period.
public struct PresenceTable: Sendable {
    struct Owner: Sendable {
        var version: UInt64
        var source: ChildID
        var entries: SmallTable<UInt64, MemberEntry>
        /// Set while its source is out of contact, or when its node runs anew.
        var lostAt: Instant?
    }

    public enum Outcome: Hashable, Sendable {
        case applied
        /// Older than what is known.
        case stale
        /// A delta that does not follow on what is known: the owner has to send a snapshot.
        case outOfStep
    }

    private var owners = SmallTable<NodeBoot, Owner>()
    private var newestBoots = SmallTable<NodeID, Boot>()
    /// Where a user's sessions are to be found; few for each, so a list is smaller than a table and as fast.
    private var byUser = SmallTable<String, [SessionReference]>()
    /// Made at a root.
    private var publication: MemberPublication?

    public init() {}

    /// No session is known. Owners may still be remembered with their versions, so that late announcements are recognized.
    public var isEmpty: Bool { byUser.isEmpty }

    // MARK: What owners say

    public mutating func apply(_ update: OwnerUpdate, from source: ChildID, now: Instant) -> Outcome {
        let newest = newestBoots[update.owner.node]
        if let newest, update.owner.boot < newest { return .stale }
        if let newest, update.owner.boot > newest {
            supersede(NodeBoot(node: update.owner.node, boot: newest), now: now)
            if update.content == .gone {
                forget(NodeBoot(node: update.owner.node, boot: newest))
                return .applied
            }
        }
        switch update.content {
        case .snapshot(let entries): return replace(update, entries, from: source)
        case .delta(let from, let upserted, let removed):
            return change(update, from: from, upserted: upserted, removed: removed, source: source)
        case .gone:
            guard let known = owners[update.owner], known.source == source else { return .stale }
            forget(update.owner)
            return .applied
        }
    }

    /// The node of this owner runs anew, so nothing more is heard of it.
    private mutating func supersede(_ owner: NodeBoot, now: Instant) {
        if owners[owner]?.lostAt == nil { owners[owner]?.lostAt = now }
    }

    private mutating func replace(_ update: OwnerUpdate, _ entries: [MemberEntry], from source: ChildID) -> Outcome {
        if let known = owners[update.owner]?.version, known > update.version { return .stale }
        for (session, entry) in owners[update.owner]?.entries ?? SmallTable() { unindex(entry, update.owner, session) }
        var fresh = SmallTable<UInt64, MemberEntry>()
        for entry in entries {
            fresh[entry.session] = entry
            index(entry, update.owner)
        }
        newestBoots[update.owner.node] = update.owner.boot
        owners[update.owner] = Owner(version: update.version, source: source, entries: fresh)
        return .applied
    }

    private mutating func change(
        _ update: OwnerUpdate, from: UInt64, upserted: [MemberEntry], removed: [UInt64], source: ChildID
    ) -> Outcome {
        // Its version alone: while a copy of the owner lives, a change of its entries would copy them all.
        guard let known = owners[update.owner]?.version else { return .outOfStep }
        if update.version <= known { return .stale }
        guard from == known else { return .outOfStep }
        for session in removed {
            if let entry = owners[update.owner]?.entries.removeValue(forKey: session) { unindex(entry, update.owner, session) }
        }
        for entry in upserted {
            let old = owners[update.owner]?.entries.updateValue(entry, forKey: entry.session)
            if let old { unindex(old, update.owner, entry.session) }
            index(entry, update.owner)
        }
        owners[update.owner]?.version = update.version
        owners[update.owner]?.source = source
        owners[update.owner]?.lostAt = nil
        return .applied
    }

    // MARK: Contact

    /// The way to everything heard from `source` is gone, or it is to be heard elsewhere: hidden when `expire` is called after the grace
    /// period, unless it is heard again.
    public mutating func lost(_ source: ChildID, now: Instant) {
        for (node, owner) in owners where owner.source == source && owner.lostAt == nil { owners[node]?.lostAt = now }
    }

    /// Entries that a store remembers, for a root that starts: shown until their owner speaks or the grace period ends. Owners that
    /// have spoken are left as they are.
    public mutating func preload(_ entries: [(owner: NodeBoot, entry: MemberEntry)], from source: ChildID, now: Instant) {
        let spoken = Set(owners.keys)
        for (owner, entry) in entries where !spoken.contains(owner) {
            if owners[owner] == nil { owners[owner] = Owner(version: 0, source: source, entries: SmallTable(), lostAt: now) }
            owners[owner]?.entries[entry.session] = entry
            newestBoots[owner.node] = max(newestBoots[owner.node] ?? 0, owner.boot)
            index(entry, owner)
        }
    }

    public var sources: Set<ChildID> { Set(owners.map { $0.value.source }) }

    /// Forgets what was heard from `source`, without telling anybody.
    public mutating func drop(_ source: ChildID) {
        for (owner, state) in owners where state.source == source { forget(owner) }
    }

    public var hasLost: Bool { owners.contains { $0.value.lostAt != nil } }

    /// Forgets the owners that were out of contact for `grace`; the answer is what to say upwards.
    public mutating func expire(now: Instant, grace: TimeSpan) -> [OwnerUpdate] {
        var gone: [OwnerUpdate] = []
        for (owner, state) in owners {
            guard let lostAt = state.lostAt, now - lostAt >= grace else { continue }
            // Of an older run the level above has heard the same as this one.
            if newestBoots[owner.node] == owner.boot { gone.append(OwnerUpdate(owner: owner, version: state.version, content: .gone)) }
            forget(owner)
        }
        return gone
    }

    /// Everything known, for a parent that is new or came back. Owners out of contact are left out: they would look alive.
    public func snapshots() -> [OwnerUpdate] {
        owners.compactMap { owner, state in
            guard state.lostAt == nil else { return nil }
            return OwnerUpdate(owner: owner, version: state.version, content: .snapshot(Array(state.entries.values)))
        }
    }

    public func entries() -> [(owner: NodeBoot, entry: MemberEntry)] {
        owners.flatMap { owner, state in state.entries.values.map { (owner, $0) } }
    }

    public func sessionsPerOwner() -> [NodeBoot: Int] {
        Dictionary(uniqueKeysWithValues: owners.map { ($0, $1.entries.count) }).filter { $0.value > 0 }
    }

    /// Sessions of users by region, for the operations page.
    public func sessionsPerRegion() -> [RegionID: Int] {
        owners.reduce(into: [:]) { $0[$1.key.node.region, default: 0] += $1.value.entries.count }
    }

    /// Whether one of the user's sessions is invisible, and so all of them.
    public func isHidden(_ user: String) -> Bool { Member.isHidden(entries(of: user)) }

    /// Where the sessions of a user were heard.
    public func sources(of user: String) -> Set<ChildID> { Set((byUser[user] ?? []).compactMap { owners[$0.owner]?.source }) }

    private func entries(of user: String) -> [MemberEntry] {
        (byUser[user] ?? []).compactMap { owners[$0.owner]?.entries[$0.session] }
    }

    private mutating func forget(_ owner: NodeBoot) {
        guard let state = owners.removeValue(forKey: owner) else { return }
        for (session, entry) in state.entries { unindex(entry, owner, session) }
    }

    private mutating func index(_ entry: MemberEntry, _ owner: NodeBoot) {
        byUser[entry.user, default: []].append(SessionReference(owner: owner, session: entry.session))
        publication?.heard(entry.user)
    }

    private mutating func unindex(_ entry: MemberEntry, _ owner: NodeBoot, _ session: UInt64) {
        publication?.changed(entry.user)
        byUser[entry.user]?.removeAll { $0 == SessionReference(owner: owner, session: session) }
        if byUser[entry.user]?.isEmpty == true { byUser[entry.user] = nil }
    }
}

// MARK: - What members are told, at a root

extension PresenceTable {
    /// This level is the root from now on and makes the diffs. `known` is what was published before, as it was heard here: nobody is told
    /// about them again, and who does not announce herself within `grace` has left.
    ///
    /// - Parameters:
    ///   - isSettling: not every level below has announced what it knows; until `settled` nobody is told to have left.
    ///   - listMax: of a room with more members only that many are shown, and only their number is exact.
    public mutating func startPublishing(
        known: [Member], now: Instant, grace: TimeSpan, isSettling: Bool = false, listMax: Int = MemberPublication.listMaxDefault
    ) {
        guard publication == nil else { return }
        publication = MemberPublication(
            known: known, present: byUser.keys, holdsLeftUntil: now + grace, isSettling: isSettling, listMax: listMax)
    }

    public mutating func stopPublishing() { publication = nil }

    /// Every level below has announced, or was waited for long enough.
    public mutating func settled() { publication?.settled() }

    /// Members that were published, so that a joiner's list and the diffs that follow fit together; of a large room those that are shown.
    public var members: [Member] { publication?.shownMembers ?? [] }
    public var count: Int { publication?.count ?? 0 }
    public var isLarge: Bool { publication?.isLarge ?? false }
    public var hasChanges: Bool { publication?.hasChanges ?? false }
    public func member(_ user: String) -> Member? { publication?.member(user) }

    /// A page of all members in the order of their names. Looks at each member once, whatever the page.
    ///
    /// - Returns: up to `limit` members with names after `after`, and whether there are more.
    public func page(after: String, limit: Int) -> (members: [Member], hasMore: Bool) {
        publication?.page(after: after, limit: limit) ?? ([], false)
    }

    /// The difference to the last call, merged over everything that happened since; nil for none.
    public mutating func takeDiff(now: Instant) -> MemberDiff? {
        guard var publication = publication.take() else { return nil }
        defer { self.publication = publication }
        return publication.takeDiff(now: now) { user in Member.merging(user, entries(of: user)) }
    }
}
