import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Store

/// What the root of a room does with what is stored of it beside its messages: deletion, and for an inbox what belongs to its user.
final class RootData {
    private unowned let hub: HubRoom
    private let cell: Cell
    private var underWay = 0
    /// Deletions of the user that wait for her sessions to leave, so that their leaving writes nothing afterwards.
    private var waiting: [(request: RootRequest, until: Instant)] = []

    private static let leavingBound = TimeSpan.milliseconds(1500)
    /// Rooms told in one answer.
    private static let roomsPageMax = 500

    init(hub: HubRoom) {
        self.hub = hub
        cell = hub.cell
    }

    var isIdle: Bool { underWay == 0 && waiting.isEmpty }
    private var room: String { hub.name }
    private var user: String? { NameRules.owner(ofInbox: room) }

    func serve(_ ask: DataAsk, _ request: RootRequest) {
        guard cell.storeKeeper.isUp else { return refuse(request) }
        switch (ask, user) {
        case (.deleteRoom, _): deleteRoom(request)
        case (.deleteReceipts(let user), _): deleteReceipts(of: user, request)
        case (.deleteUser, _?):
            waiting.append((request, Clock.now() + Self.leavingBound))
            tick(now: Clock.now())
        case (.noteRoom(let noted), let user?): note(noted, of: user, request)
        case (.rooms(let after, let limit), let user?): listRooms(of: user, after: after, limit: limit, request)
        case (.profile, _?): describeUser(request)
        case (_, nil): cell.answer(request, .refused(Refusal(.unimplemented, "\(room) is nobody's inbox")))
        }
    }

    /// Deletions that wait are begun when she has left, or when that takes too long: she may be connected again.
    func tick(now: Instant) {
        let due = waiting.filter { hub.presence.table.isEmpty || now >= $0.until }
        waiting.removeAll { hub.presence.table.isEmpty || now >= $0.until }
        for entry in due { deleteUser(entry.request) }
    }

    /// Another node is the root now.
    func stepDown() {
        for entry in waiting { cell.answer(entry.request, .refused(Refusal(.notRoot, "the room's root has moved"))) }
        waiting.removeAll()
    }

    // MARK: Deletion

    /// The store does things in the order in which it is asked: an append under way is deleted, a later one stays.
    private func deleteRoom(_ request: RootRequest) {
        finish(request, cell.store.deleteRoom(room)) { [hub] position in
            hub.deleted(RoomDeletion(upTo: position ?? .zero, endsUser: false))
            return .deleted(upTo: position)
        }
    }

    private func deleteUser(_ request: RootRequest) {
        guard let user else { return }
        hub.root?.presence.publish()
        finish(request, cell.store.deleteUser(user)) { [hub] position in
            hub.root?.presence.forgetLastSeen()
            hub.deleted(RoomDeletion(upTo: position ?? .zero, endsUser: true))
            return .deleted(upTo: position)
        }
    }

    private func deleteReceipts(of user: String, _ request: RootRequest) {
        finish(request, cell.store.deleteReceipts(of: room, user: user)) { [hub] in
            hub.receipts.forget(user)
            return .done
        }
    }

    // MARK: A user's rooms and her profile

    private func note(_ noted: String, of user: String, _ request: RootRequest) {
        let most = cell.context.limits.roomsPerUserMax
        finish(request, cell.store.noteRoom(noted, of: user, most: most)) { [cell] isNoted in
            if !isNoted { cell.drops.count(.userRoomsFull) }
            return .done
        }
    }

    private func listRooms(of user: String, after: String, limit: Int, _ request: RootRequest) {
        finish(request, cell.store.rooms(of: user, after: after, limit: min(limit, Self.roomsPageMax))) { .rooms($0) }
    }

    private func describeUser(_ request: RootRequest) {
        let sessions = hub.presence.table.entries().map(\.entry).sorted { ($0.device, $0.session) < ($1.device, $1.session) }
        let lastSeen = hub.root?.presence.lastSeen ?? 0
        cell.answer(request, .data(.profile(UserProfile(lastSeen: lastSeen, sessions: sessions))))
    }

    // MARK: Answers

    private func finish<Value: Sendable>(
        _ request: RootRequest, _ work: EventLoopFuture<Value>, _ answer: @escaping (Value) -> DataAnswer
    ) {
        underWay += 1
        work.assumeIsolated().whenComplete { [self] result in
            underWay -= 1
            switch result {
            case .success(let value): cell.answer(request, .data(answer(value)))
            case .failure: refuse(request)
            }
        }
    }

    private func refuse(_ request: RootRequest) {
        cell.drops.count(.storeUnavailable)
        cell.answer(request, .refused(Refusal(.unavailable, "the region's store is not available", retryAfterMs: 1000)))
    }
}
