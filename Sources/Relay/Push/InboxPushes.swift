import MeshConfiguration
import MeshCore
import NIOCore
import Push
import Store

/// At the root of an inbox: sees to it that notifications are queued for what its user does not see. Nobody waits for it.
final class InboxPushes {
    private let user: String
    private unowned let cell: Cell
    private let settings: PushConfiguration
    private let deliveredHead: (_ user: String) -> Position?
    private var ledger = InboxLedger()

    /// Nil for a room that is no inbox, and in a region that tells nobody.
    ///
    /// - Parameter deliveredHead: how far the user has confirmed; nil while nothing is known of that: then what was appended during her last
    ///   session counts as unconfirmed.
    init?(room: String, cell: Cell, deliveredHead: @escaping (_ user: String) -> Position?) {
        guard let user = NameRules.owner(ofInbox: room), let settings = cell.context.configuration.push else { return nil }
        self.user = user
        self.cell = cell
        self.settings = settings
        self.deliveredHead = deliveredHead
    }

    private var store: any RegionStore { cell.store }
    private var room: String { NameRules.inbox(of: user) }

    // MARK: Messages

    /// Before the append, on the same connection: the store has the note when it has the messages.
    func willAppend(behind head: Position) {
        if let after = ledger.willAppend(behind: head) { _ = store.markPush(PushMark(user: user, after: after)) }
    }

    func appended(_ messages: [(position: Position, body: ByteBuffer)]) {
        let strangers = ledger.isPresent ? [] : messages.compactMap { notification($0.body, at: $0.position) }.filter { $0.from != user }
        queue(ledger.appended(strangers))
    }

    func appendFailed() { ledger.appendFailed() }

    private func notification(
        _ body: ByteBuffer, at position: Position, _ reason: PushNotification.Reason = .message, count: UInt64 = 1
    ) -> PushNotification? {
        PushNotification(
            body, at: position, for: user, reason: reason, count: count, previewBytesMax: settings.limits.previewBytesMax)
    }

    // MARK: Sessions

    /// The store has said who was there before this node was the root.
    func loaded(isPresent: Bool, head: Position?) {
        presence(isPresent, head: head)
        queue(ledger.becameCertain())
    }

    /// - Parameters:
    ///   - isPresent: whether the user has a session, an invisible one or one in its grace period included.
    ///   - head: of the log, nil if it is not known.
    func presence(_ isPresent: Bool, head: Position?) {
        guard isPresent != ledger.isPresent else { return }
        if isPresent {
            queue(ledger.arrived(head: head))
            if head == nil { askForHead() }
        } else if let base = ledger.left(delivered: deliveredHead(user)) {
            lookForUnconfirmed(after: base)
        }
    }

    private func askForHead() {
        store.head(of: room).assumeIsolated().whenSuccess { head in self.ledger.learned(head: head ?? .zero) }
    }

    private func lookForUnconfirmed(after base: Position) {
        let newest = store.read(room, after: base, before: nil, limit: 1, newest: true)
        newest.assumeIsolated().whenComplete { result in
            guard case .success(let messages) = result else { return self.cell.drops.count(.pushUnqueued) }
            guard let newest = messages.last else { return }
            let count = newest.position.seq > base.seq ? newest.position.seq - base.seq : 1
            let told = self.notification(newest.body, at: newest.position, .unconfirmed, count: count)
            if let told { self.queue(self.ledger.unconfirmed(told)) }
        }
    }

    // MARK: The queue

    private func queue(_ owed: InboxLedger.Owed?) {
        guard let owed else { return }
        let entries = owed.notifications.compactMap { notification -> PushBatch.Entry? in
            guard let bytes = try? QueuedNotification(notification).encoded() else { return nil }
            return PushBatch.Entry(id: notification.id, body: ByteBuffer(bytes: bytes))
        }
        let batch = PushBatch(
            entries: entries, services: settings.services.map(\.rawValue), most: settings.limits.queueMax,
            settles: owed.settles.map { PushMark(user: user, after: $0) })
        store.queuePushes(batch).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let refused): self.cell.drops.count(.pushQueueFull, refused)
            // The note stands, if there was one: it is found and made good later.
            case .failure: if owed.settles == nil { self.cell.drops.count(.pushUnqueued, entries.count) }
            }
        }
    }

    // MARK: Devices

    /// At most so many for one user.
    static let devicesMax = 20

    /// Keeps or forgets where notifications for one of her devices go.
    func change(_ ask: PushDeviceAsk, _ completion: @escaping (RootResponse.Answer) -> Void) {
        guard let registration = ask.registration else {
            return answer(store.removePushDevice(ask.device, of: user, token: nil).map { true }, completion)
        }
        guard settings.services.contains(registration.service) else {
            return completion(.refused(Refusal(.unimplemented, "\(registration.service.rawValue) is not set up in the user's home")))
        }
        let value = StoredPushDevice(service: registration.service.rawValue, token: registration.token, updatedAt: Clock.wall())
        answer(store.setPushDevice(ask.device, of: user, to: value, most: Self.devicesMax), completion)
    }

    private func answer(_ isKept: EventLoopFuture<Bool>, _ completion: @escaping (RootResponse.Answer) -> Void) {
        isKept.assumeIsolated().whenComplete { result in
            switch result {
            case .success(true): completion(.done)
            case .success(false):
                completion(.refused(Refusal(.exhausted, "a user may have \(Self.devicesMax) devices with notifications")))
            case .failure: completion(.refused(Refusal(.unavailable, "the region's store is not available", retryAfterMs: 1000)))
            }
        }
    }
}

/// What a device's session asks of the root of its user's inbox.
struct PushDeviceAsk: Hashable, Sendable {
    struct Registration: Hashable, Sendable {
        var service: PushService
        var token: String
    }

    var device: String
    /// Nil to forget the device.
    var registration: Registration?
}
