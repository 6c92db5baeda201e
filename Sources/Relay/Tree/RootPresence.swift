import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Store

/// What the root of a room does for presence: publishes who is there, says when a user was last seen and whether she hides, and keeps the
/// region's store informed.
final class RootPresence {
    private unowned let hub: HubRoom
    private let cell: Cell
    private let mirror: StoreMirror
    private var publishedAt = Instant.zero
    /// For an inbox.
    private var seen = LastSeen()
    private var isLoaded = false
    private var isLoading = false
    /// Another node is the root now: an answer of the store comes too late.
    private var isOver = false
    /// A root that is new has not heard everybody; it waits for them until then.
    private var settlesAt: Instant?
    /// For an inbox: as those who own the user's sessions were last told.
    private var toldHidden = false

    /// Of a large room the count is told this often at most.
    private static let largeRoomPeriod = TimeSpan.seconds(1)

    init(hub: HubRoom) {
        self.hub = hub
        cell = hub.cell
        mirror = StoreMirror(room: hub.name, cell: hub.cell)
        settlesAt = cell.hasHeardAnnouncements ? nil : Clock.now() + cell.context.timings.presenceGrace
        hub.presence.startPublishing(isSettling: settlesAt != nil)
        if !hub.presence.table.isEmpty { mirror.replaceAll() }
        load()
    }

    var lastSeen: WallMilliseconds { seen.time }
    /// The user was deleted, or is about to be.
    func forgetLastSeen() { seen.forget() }
    var isSettling: Bool { settlesAt != nil }
    var isIdle: Bool { !mirror.isPending && !isLoading && !isSettling }
    var hasChanges: Bool { hub.presence.table.hasChanges }
    private var inboxOwner: String? { NameRules.owner(ofInbox: hub.name) }

    func stepDown() {
        isOver = true
        hub.presence.stopPublishing()
    }

    // MARK: Cold start

    /// What the store remembers, so that a root that starts anew does not show everybody as gone until they have announced themselves.
    func load() {
        guard cell.storeKeeper.isUp, !isLoaded, !isLoading else { return }
        isLoading = true
        // While it is loading the hub is not idle, so the cell keeps it.
        cell.storeGate.run { [self] in read() }
    }

    private func read() -> EventLoopFuture<Void> {
        guard !isOver else { return cell.loop.makeSucceededVoidFuture() }
        let seen = inboxOwner.map { cell.store.lastSeen(of: $0) } ?? cell.loop.makeSucceededFuture(nil)
        let state = cell.store.members(of: hub.name).and(seen)
        state.assumeIsolated().whenComplete { self.loaded($0) }
        return state.map { _ in }
    }

    private func loaded(_ result: Result<([StoredMember], WallMilliseconds?), any Error>) {
        isLoading = false
        guard !isOver else { return }
        isLoaded = true
        if case .success((let members, let stored)) = result {
            seen.loaded(stored ?? 0)
            let likely = members.filter { mayStillBe($0.key.owner) }
            hub.presence.preload(likely.map { ($0.key.owner, MemberEntry($0)) })
        }
        hub.root?.presenceLoaded()
        hub.answerChildren()
    }

    /// Of earlier runs of this node only one that has just crashed counts; what this run owns it knows better.
    private func mayStillBe(_ owner: NodeBoot) -> Bool {
        guard owner.node == cell.context.node else { return true }
        guard let crashed = cell.context.crashed, crashed.owner == owner else { return false }
        return Clock.now() - crashed.noticedAt < cell.context.timings.presenceGrace
    }

    /// Whether a list can be given.
    var isReady: Bool {
        if !isLoaded { load() }
        return isLoaded
    }

    /// The store is back, or is another one: nothing is assumed of what it holds.
    func storeAttached() {
        mirror.replaceAll()
        isLoaded = isLoaded || !hub.presence.table.isEmpty
        load()
    }

    private func settleIfDue(now: Instant) {
        guard let settlesAt, now >= settlesAt || (isLoaded && cell.hasHeardAnnouncements) else { return }
        self.settlesAt = nil
        hub.presence.settled()
        publish()
        hub.presence.tellList(lastSeen: lastSeen)
        tellIfHidden()
    }

    // MARK: Members

    func tick(now: Instant) {
        settleIfDue(now: now)
        let period = hub.presence.table.isLarge ? Self.largeRoomPeriod : cell.context.timings.presenceCoalesce
        if now - publishedAt >= period { publish() }
    }

    func changed(by update: OwnerUpdate, from child: ChildID?) {
        mirror.add(update)
        hub.root?.tellPresence()
        hiddenMayHaveChanged(by: update, from: child)
    }

    /// Everything that changed since the last call, as one diff. Nothing about a user while a session of hers that hides her may not have
    /// been heard yet.
    func publish() {
        defer { writeMirror() }
        guard hasChanges, inboxOwner == nil || !isSettling else { return }
        publishedAt = Clock.now()
        let left = Clock.wall()
        guard let diff = hub.presence.publish(lastSeen: inboxOwner == nil || seen.isForgotten ? 0 : left) else { return }
        hub.root?.membersChanged()
        noteLastSeen(diff, left: left)
        for user in diff.left where !hub.typing.isEmpty { hub.setTyping(user, active: false) }
    }

    private func noteLastSeen(_ diff: MemberDiff, left: WallMilliseconds) {
        guard let user = inboxOwner else { return }
        if diff.joined.contains(where: { $0.user == user }) { seen.joined() }
        guard diff.left.contains(user), seen.left(at: left) else { return }
        let deletions = seen.deletions
        mirror.setLastSeen(user, at: left) { [self] in seen.deletions == deletions }
    }

    /// Before a list is given, so that it holds what has just happened. Of a large room a sample is given, which is as good a second old.
    func publishNow() {
        if !hub.presence.table.isLarge { publish() }
    }

    private func writeMirror() {
        let table = hub.presence.table
        mirror.isLarge = table.isLarge
        mirror.write({ table.entries().map { StoredMember($0.owner, $0.entry) } }, counts: { table.sessionsPerOwner() })
    }

    func typingChanged(_ user: String, active: Bool) { mirror.setTyping(user, active: active) }

    func listMembers(after: String, limit: Int, _ request: RootRequest) {
        publishNow()
        let page = hub.presence.table.page(after: after, limit: limit)
        let next = page.hasMore ? page.members.last?.user ?? "" : ""
        cell.answer(request, .members(page.members, count: hub.presence.table.count, next: next))
    }

    // MARK: Hiding

    /// Whoever has announced a session is told whether its user hides, and all owners are when that changes.
    private func hiddenMayHaveChanged(by update: OwnerUpdate, from child: ChildID?) {
        guard let user = inboxOwner, !isSettling else { return tellIfHidden() }
        let isHidden = hub.presence.table.isHidden(user)
        if isHidden != toldHidden {
            toldHidden = isHidden
            hub.presence.hidden(isHidden)
        } else if let child, update.bringsSessions {
            hub.presence.tellHidden(isHidden, child)
        }
    }

    /// While not everybody was heard nobody is told that she does not hide.
    private func tellIfHidden() {
        guard let user = inboxOwner else { return }
        let isHidden = hub.presence.table.isHidden(user)
        guard isHidden || !isSettling else { return }
        toldHidden = isHidden
        hub.presence.hidden(isHidden)
    }
}

extension OwnerUpdate {
    fileprivate var bringsSessions: Bool {
        switch content {
        case .snapshot(let entries): !entries.isEmpty
        case .delta(_, let upserted, _): !upserted.isEmpty
        case .gone: false
        }
    }
}
