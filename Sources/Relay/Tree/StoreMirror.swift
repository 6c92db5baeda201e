import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Store

/// Keeps the region's store informed of a room's members, typists and last-seen time: a copy for readers and for roots that start. Nobody
/// waits for it. What could not be written is made good by writing everything again.
final class StoreMirror {
    private let room: String
    private unowned let cell: Cell
    private var upserted = SmallTable<MemberKey, StoredMember>()
    private var removed: Set<MemberKey> = []
    /// The store's copy has to be replaced as a whole.
    private var isStale = false
    /// A last-seen time whose call waits for its turn.
    private var seenWaiting: WallMilliseconds?
    /// The copy holds a count for each owner instead of an entry for each session.
    var isLarge = false {
        didSet { if isLarge != oldValue { replaceAll() } }
    }

    init(room: String, cell: Cell) {
        self.room = room
        self.cell = cell
    }

    var isPending: Bool { isStale || !upserted.isEmpty || !removed.isEmpty }

    func replaceAll() {
        isStale = true
        upserted.removeAll()
        removed.removeAll()
    }

    /// Changes are collected for the next `write`. Without a store nothing is collected: it would have no bound.
    func add(_ update: OwnerUpdate) {
        guard !isStale, !isLarge else { return replaceAll() }
        guard cell.storeKeeper.isUp, case .delta(_, let entries, let gone) = update.content else { return replaceAll() }
        for session in gone {
            let key = MemberKey(owner: update.owner, session: session)
            upserted[key] = nil
            removed.insert(key)
        }
        for entry in entries {
            let member = StoredMember(update.owner, entry)
            upserted[member.key] = member
            removed.remove(member.key)
        }
    }

    /// - Parameters:
    ///   - all: every entry of the room, asked for only when the copy is replaced.
    ///   - counts: the sessions of each owner, asked for only of a large room.
    func write(_ all: () -> [StoredMember], counts: () -> [NodeBoot: Int]) {
        guard isPending, cell.storeKeeper.isUp, cell.storeGate.isOpen else { return }
        let done = isStale ? replace(all, counts) : change()
        isStale = false
        upserted.removeAll()
        removed.removeAll()
        cell.storeGate.run { done }
        done.assumeIsolated().whenFailure { [self] _ in
            replaceAll()
            skipped()
        }
    }

    private func replace(_ all: () -> [StoredMember], _ counts: () -> [NodeBoot: Int]) -> EventLoopFuture<Void> {
        guard isLarge else { return cell.store.replaceMembers(of: room, with: all()) }
        return cell.store.replaceMembers(of: room, withCounts: counts())
    }

    private func change() -> EventLoopFuture<Void> {
        cell.store.mirrorMembers(of: room, removed: Array(removed), upserted: Array(upserted.values))
    }

    func setTyping(_ user: String, active: Bool) {
        guard cell.storeKeeper.isUp else { return }
        let expiry = active ? Clock.wall() + WallMilliseconds(cell.context.timings.typingTTL.milliseconds) : nil
        cell.store.mirrorTyping(in: room, user: user, expiresAt: expiry).assumeIsolated().whenFailure { [self] _ in skipped() }
    }

    /// One call for each room waits at most: a later time goes with it.
    ///
    /// - Parameter isWanted: asked when the call has its turn.
    func setLastSeen(_ user: String, at time: WallMilliseconds, if isWanted: @escaping () -> Bool) {
        let isWaiting = seenWaiting != nil
        seenWaiting = max(seenWaiting ?? time, time)
        guard !isWaiting else { return }
        cell.storeGate.run { [self] in
            let newest = seenWaiting ?? time
            seenWaiting = nil
            guard isWanted() else { return cell.loop.makeSucceededVoidFuture() }
            let done = cell.store.setLastSeen(of: user, at: newest)
            done.assumeIsolated().whenFailure { [self] _ in skipped() }
            return done
        }
    }

    private func skipped() { cell.drops.count(.storeMirrorSkipped) }
}

extension StoredMember {
    init(_ owner: NodeBoot, _ entry: MemberEntry) {
        self.init(
            key: MemberKey(owner: owner, session: entry.session), user: entry.user, device: entry.device, status: entry.status,
            note: entry.note, identity: entry.identity, taken: entry.taken)
    }
}

extension MemberEntry {
    init(_ stored: StoredMember) {
        self.init(
            session: stored.key.session, user: stored.user, device: stored.device, status: stored.status, note: stored.note,
            identity: stored.identity, taken: stored.taken)
    }
}
