import MeshConfiguration
import MeshCore
import Presence
import Rooms
import Wire

/// Presence at one level of a room: what the sessions below say goes up, what the root publishes comes down.
final class HubPresence {
    private unowned let hub: HubRoom
    private unowned let cell: Cell
    private(set) var table = PresenceTable()
    private var owned = OwnedMembers()
    private var assembly = UpdateAssembly<ChildID>()
    private var announcements: [OwnerUpdate] = []
    private var mirror = MemberMirror()
    /// As the parent last answered, for those who did not ask to be told about members.
    private var countAtJoin = 0

    /// What is larger is announced in several frames of a link.
    private static let frameBytesGoal = 768 << 10

    init(hub: HubRoom) {
        self.hub = hub
        cell = hub.cell
    }

    var isEmpty: Bool { table.isEmpty && owned.isEmpty }
    var hasLost: Bool { table.hasLost }
    private var local: ChildID { .cell(cell.index) }
    private var timings: RelayTimings { cell.context.timings }

    // MARK: From below

    /// What the sessions of this node say.
    func changeOwned(_ upserted: [MemberEntry], _ removed: [UInt64]) {
        for session in removed { owned.remove(session) }
        for entry in upserted { owned.upsert(entry) }
        hub.queue()
    }

    /// What a node below says.
    func announced(_ parts: [OwnerUpdatePart], by child: ChildID) {
        for part in parts {
            if let update = assembly.take(part, from: child) { apply(update, from: child) }
        }
    }

    private func apply(_ update: OwnerUpdate, from child: ChildID) {
        switch table.apply(update, from: child, now: Clock.now()) {
        case .applied: applied(update, from: child)
        case .stale: cell.drops.count(.stalePresence)
        case .outOfStep: hub.tell(child, .presenceAsked)
        }
    }

    private func applied(_ update: OwnerUpdate, from child: ChildID?) {
        hub.used()
        if let root = hub.root {
            root.presence.changed(by: update, from: child)
        } else {
            announcements.append(update)
            hub.queue()
        }
    }

    // MARK: Contact

    /// The child cannot be heard any more, or is heard elsewhere.
    func lost(_ child: ChildID, now: Instant) {
        assembly.forget(child)
        table.lost(child, now: now)
    }

    func expire(now: Instant) {
        for update in table.expire(now: now, grace: timings.presenceGrace) { applied(update, from: nil) }
    }

    // MARK: Up

    func announceAll(to parent: NodeID) {
        takeOwnedChanges()
        announcements = table.snapshots()
        sendAnnouncements(to: parent)
    }

    private func sendAnnouncements(to parent: NodeID) {
        let updates = announcements
        announcements = []
        guard !updates.isEmpty, cell.isLinked(to: parent) else { return }
        for group in OwnerUpdate.groups(updates, bytesGoal: Self.frameBytesGoal) {
            cell.send(TreeCodec.frame(hub.name, .announce(group)), to: parent)
        }
    }

    private func takeOwnedChanges() {
        guard let update = owned.takeUpdate(owner: cell.context.owner, nextVersion: cell.nextVersion) else { return }
        apply(update, from: local)
    }

    /// At the end of a tick: everything that changed below goes up as one announcement.
    func flush() {
        takeOwnedChanges()
        guard hub.root == nil, let parent = hub.parent else { return announcements.removeAll() }
        sendAnnouncements(to: parent)
    }

    // MARK: From above

    /// - Parameter covers: whether the parent tells of members.
    func joined(_ state: RoomState, covers: Bool) {
        countAtJoin = state.count
        guard covers else { return }
        let list = MemberList(members: state.members, count: state.count, lastSeen: state.lastSeen)
        received(list, isSettling: state.isSettling)
    }

    /// - Parameter isSettling: the list may lack members who have not left.
    func received(_ list: MemberList, isSettling: Bool) {
        let wasSettling = mirror.isSettling
        let diff = mirror.reset(to: list, isSettling: isSettling)
        if wasSettling, !isSettling {
            // Those below may know members of an earlier root that this level has never heard of.
            hub.tellAll(.presence) { .memberList(generation: $0, mirror.list) }
        } else if let diff {
            tell(diff)
        }
    }

    func received(_ diff: MemberDiff) {
        if let effect = mirror.apply(diff) { tell(effect) }
    }

    private func tell(_ diff: MemberDiff) {
        for part in diff.parts(entriesMax: MemberPublication.listMaxDefault) {
            hub.tellAll(.presence) { .members(generation: $0, part) }
        }
    }

    /// - Parameter isCovered: whether the parent tells of members, if there is one.
    func fill(_ state: inout RoomState, _ interest: Interest, isCovered: Bool) {
        let root = hub.root
        state.count = root == nil ? (isCovered ? mirror.count : countAtJoin) : table.count
        guard interest.contains(.presence) else { return }
        state.members = root == nil ? mirror.all : table.members
        state.lastSeen = root?.presence.lastSeen ?? mirror.lastSeen
        state.isSettling = root?.presence.isSettling ?? mirror.isSettling
    }

    /// The user whose inbox the room is was deleted.
    func forgetLastSeen() { mirror.forgetLastSeen() }

    // MARK: Who is hidden

    /// One of the user's sessions is invisible, or none is any more: those who own her sessions show the others in no room.
    func hidden(_ isHidden: Bool) {
        guard let user = NameRules.owner(ofInbox: hub.name) else { return }
        for source in table.sources(of: user) { tellHidden(isHidden, source) }
    }

    func tellHidden(_ isHidden: Bool, _ source: ChildID) {
        guard case .cell = source else { return hub.tell(source, .hidden(isHidden)) }
        for session in owned.entries.keys { cell.post(.hidden(session: session, isHidden), to: cell.cell(ofSession: session)) }
    }

    // MARK: At the root

    /// This level makes the diffs from now on.
    func startPublishing(isSettling: Bool) {
        table.startPublishing(
            known: mirror.all, now: Clock.now(), grace: timings.presenceGrace, isSettling: isSettling)
    }

    func preload(_ entries: [(owner: NodeBoot, entry: MemberEntry)]) {
        table.preload(entries, from: .store, now: Clock.now())
        hub.wake()
    }

    /// Another node makes the diffs from now on. What was published here is what the children know.
    func stopPublishing() {
        let list = MemberList(members: table.members, count: table.count, lastSeen: hub.root?.presence.lastSeen ?? 0)
        _ = mirror.reset(to: list, isSettling: hub.root?.presence.isSettling ?? false)
        table.stopPublishing()
        table.drop(.store)
    }

    /// The members' diff of the root, to everybody who asked for presence.
    func publish(lastSeen: WallMilliseconds) -> MemberDiff? {
        guard var diff = table.takeDiff(now: Clock.now()) else { return nil }
        if !diff.left.isEmpty { diff.lastSeen = lastSeen }
        tell(diff)
        return diff
    }

    /// This level has heard everybody, or has waited long enough: who is missing has left.
    func settled() {
        table.settled()
        hub.wake()
    }

    func tellList(lastSeen: WallMilliseconds) {
        let list = MemberList(members: table.members, count: table.count, lastSeen: lastSeen)
        hub.tellAll(.presence) { .memberList(generation: $0, list) }
    }
}
