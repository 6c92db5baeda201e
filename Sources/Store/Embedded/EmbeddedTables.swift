import MeshCore

/// The tables behind the lock, named after the Redis keys they stand for.
struct EmbeddedTables: Sendable {
    struct Lease {
        var boot: Boot
        var expiresAt: WallMilliseconds
    }

    /// Which run of the store this is.
    var run: UInt64 = 1
    var identity: (stored: StoreIdentity, run: UInt64)?
    var boots: [NodeID: Boot] = [:]
    var roster: StoredRoster?
    var leases: [NodeID: Lease] = [:]
    var logs: [String: EmbeddedLog] = [:]
    var members: [String: SmallTable<MemberKey, StoredMember>] = [:]
    var memberCounts: [String: [NodeBoot: Int]] = [:]
    var typing: [String: [String: WallMilliseconds]] = [:]
    var lastSeen: [String: WallMilliseconds] = [:]
    /// By user.
    var rooms: [String: Set<String>] = [:]
    var receipts: [String: [ReceiptOwner: ReceiptPositions]] = [:]
    var pushes = EmbeddedPushes()

    init(run: UInt64 = 1) { self.run = run }

    mutating func attach(freshID: String, knownEpoch: UInt64) -> StoreIdentity {
        if let identity, identity.run == run, knownEpoch <= identity.stored.epoch { return identity.stored }
        let grown = StoreIdentity(
            incarnation: identity?.stored.incarnation ?? freshID, epoch: max(identity?.stored.epoch ?? 0, knownEpoch) + 1)
        identity = (grown, run)
        return grown
    }

    mutating func nextBoot(of node: NodeID, least: WallMilliseconds) -> Boot {
        let boot = max(boots[node].map { $0 + 1 } ?? 0, Boot(max(0, least)))
        boots[node] = boot
        return boot
    }

    mutating func changeRoster(expected: UInt64, to proposed: StoredRoster) -> StoredRoster {
        let standing = roster ?? StoredRoster(version: 0, nodes: [])
        guard standing.version == expected else { return standing }
        roster = proposed
        return proposed
    }

    func lease(of node: NodeID, now: WallMilliseconds) -> Boot? {
        guard let lease = leases[node], lease.expiresAt > now else { return nil }
        return lease.boot
    }

    mutating func renewLease(of owner: NodeBoot, now: WallMilliseconds, ttl: TimeSpan) {
        if let holder = lease(of: owner.node, now: now), holder > owner.boot { return }
        leases[owner.node] = Lease(boot: owner.boot, expiresAt: now + WallMilliseconds(max(1, ttl.milliseconds)))
    }

    mutating func dropLease(of owner: NodeBoot) {
        if leases[owner.node]?.boot == owner.boot { leases[owner.node] = nil }
    }

    mutating func open(_ room: String, _ request: OpenLog) throws(StoreError) -> OpenedLog {
        try StoreNumber.check(request)
        if logs[room] == nil {
            logs[room] = EmbeddedLog(request, run: run)
        } else {
            try logs[room]?.reopen(request, run: run)
        }
        guard let log = logs[room] else { throw .notOpen }
        return log.opened
    }

    mutating func append(_ room: String, _ batch: AppendBatch, now: WallMilliseconds) throws(StoreError) -> [AppendOutcome] {
        guard let outcomes = try logs[room]?.append(batch, run: run, now: now) else { throw .notOpen }
        return outcomes
    }

    mutating func deleteRoom(_ room: String) -> Position? {
        members[room] = nil
        typing[room] = nil
        receipts[room] = nil
        logs[room]?.delete()
        return logs[room]?.head
    }

    mutating func deleteUser(_ user: String) -> Position? {
        lastSeen[user] = nil
        rooms[user] = nil
        pushes.forget(user)
        return deleteRoom(NameRules.inbox(of: user))
    }

    mutating func noteRoom(_ room: String, of user: String, most: Int) -> Bool {
        let known = rooms[user] ?? []
        guard known.contains(room) || known.count < most else { return false }
        rooms[user] = known.union([room])
        return true
    }

    /// By bytes, as Redis orders them.
    func rooms(of user: String, after: String, limit: Int) -> [String] {
        let later = (rooms[user] ?? []).filter { after.utf8.lexicographicallyPrecedes($0.utf8) }
        return Array(later.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.prefix(max(0, limit)))
    }

    mutating func changeMembers(of room: String, removed: [MemberKey], upserted: [StoredMember]) {
        for key in removed { members[room]?[key] = nil }
        for member in upserted { members[room, default: SmallTable()][member.key] = member }
        if members[room]?.isEmpty == true { members[room] = nil }
    }

    mutating func changeTyping(in room: String, user: String, expiresAt: WallMilliseconds?, now: WallMilliseconds) {
        typing[room, default: [:]][user] = expiresAt
        typing[room] = typing(in: room, now: now)
        if typing[room]?.isEmpty == true { typing[room] = nil }
    }

    func typing(in room: String, now: WallMilliseconds) -> [String: WallMilliseconds] {
        (typing[room] ?? [:]).filter { $0.value > now }
    }

    mutating func mergeReceipts(of room: String, _ merged: [Receipt]) {
        for receipt in merged {
            let stored = receipts[room]?[receipt.owner] ?? .none
            receipts[room, default: [:]][receipt.owner] = stored.merged(with: receipt.positions)
        }
    }

    mutating func deleteReceipts(of room: String, user: String) {
        for isHidden in [false, true] { receipts[room]?[ReceiptOwner(user: user, isHidden: isHidden)] = nil }
    }

    func receipts(of room: String, user: String) -> ReceiptPositions {
        [false, true].reduce(.none) { $0.merged(with: receipts[room]?[ReceiptOwner(user: user, isHidden: $1)] ?? .none) }
    }
}
