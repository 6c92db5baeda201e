import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Push
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
        case (.profile, let user?): describe(user, request)
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
        finish(request, withholdingReceipts(cell.store.deleteRoom(room))) { [hub] position in
            hub.deleted(RoomDeletion(upTo: position ?? .zero, endsUser: false))
            return .deleted(upTo: position)
        }
    }

    private func deleteUser(_ request: RootRequest) {
        guard let user else { return }
        hub.root?.presence.forgetLastSeen()
        hub.root?.presence.publish()
        finish(request, withholdingReceipts(deleteAll(of: user))) { [hub] position in
            hub.root?.presence.forgetLastSeen()
            hub.deleted(RoomDeletion(upTo: position ?? .zero, endsUser: true))
            return .deleted(upTo: position)
        }
    }

    /// Notifications that are queued hold what others wrote to her.
    private func deleteAll(of user: String) -> EventLoopFuture<Position?> {
        let services = cell.context.configuration.push?.services.map(\.rawValue) ?? []
        return cell.store.deleteUser(user).and(cell.store.forgetPushes(of: user, services: services)).map { position, _ in position }
    }

    private func deleteReceipts(of user: String, _ request: RootRequest) {
        finish(request, withholdingReceipts(cell.store.deleteReceipts(of: room, user: user))) { [hub] in
            hub.forgetReceipts(of: user)
            return .done
        }
    }

    /// No receipt is written behind a deletion: what is said until it is done is forgotten with the rest.
    private func withholdingReceipts<Value: Sendable>(_ deletion: EventLoopFuture<Value>) -> EventLoopFuture<Value> {
        let receipts = hub.root?.receipts
        receipts?.deletionBegan()
        deletion.assumeIsolated().whenComplete { _ in receipts?.deletionEnded() }
        return deletion
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

    private func describe(_ user: String, _ request: RootRequest) {
        let sessions = hub.presence.table.entries().map(\.entry).sorted { ($0.device, $0.session) < ($1.device, $1.session) }
        let lastSeen = hub.root?.presence.lastSeen ?? 0
        finish(request, cell.store.pushDevices(of: user)) { devices in
            let pushDevices = devices.sorted { $0.key < $1.key }.map { device, stored in
                UserProfile.PushDevice(device: device, service: stored.service, updatedAt: stored.updatedAt)
            }
            return .profile(UserProfile(lastSeen: lastSeen, sessions: sessions, pushDevices: pushDevices))
        }
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
