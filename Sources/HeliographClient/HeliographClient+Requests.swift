public import MeshCore
import SwiftProtobuf
import Synchronization
public import Wire

/// The requests of the protocol. Each throws `HeliographClientError` or `CancellationError`.
extension HeliographClient {
    /// Joins a room, or changes what is pushed of it.
    ///
    /// - Parameter from: behind which position, or with how many of the last messages, the pushes begin; nil: from the reply's `head` on.
    public func subscribe(
        room: String, from: RelayFrom.OneOf_Start? = nil, presence: Bool = false, typing: Bool = false, receipts: Bool = false
    ) async throws -> RelaySubscribed {
        let reply = try await request(
            .with {
                $0.subscribe = .with {
                    $0.room = room
                    if let from { $0.from.start = from }
                    $0.presence = presence
                    $0.typing = typing
                    $0.receipts = receipts
                }
            })
        guard case .subscribed(let subscribed) = reply else { throw HeliographClientError.unexpectedReply }
        return subscribed
    }

    public func unsubscribe(room: String) async throws {
        try await expectDone(.with { $0.unsubscribe.room = room })
    }

    /// Publishes text. Without a key one is drawn; with the key of an earlier try nothing is published twice.
    public func publish(
        room: String, text: String, key: String? = nil, durability: RelayDurability = .home, headers: [String: String] = [:]
    ) async throws -> RelayPublished {
        try await publish(
            .with {
                $0.room = room
                $0.text = text
                $0.durability = durability
                $0.headers = headers
                if let key { $0.key = key }
            })
    }

    /// Publishes. A durable publish that the relay cannot take just now, or whose answer is lost, is repeated with its
    /// key until `requestTimeout` has passed; an ephemeral one is tried once. One that was refused, with `ClientOptions.retriesPublishes`, may
    /// come behind later ones; one whose connection was lost keeps its place.
    public func publish(_ publish: RelayPublish) async throws -> RelayPublished {
        var publish = publish
        let isDurable = publish.durability != .ephemeral
        if isDurable, !publish.hasKey { publish.key = Self.makeKey() }
        let frame = RelayClientFrame.with { $0.publish = publish }
        let deadline = now() + options.requestTimeout
        while true {
            do {
                guard case .published(let published) = try await request(frame, survivesReconnect: isDurable, deadline: deadline) else {
                    throw HeliographClientError.unexpectedReply
                }
                return published
            } catch HeliographClientError.refused(let error)
                where isDurable && options.retriesPublishes && HeliographClientError.refused(error).isRetryable
            {
                let wait = Self.jittered(max(100, min(error.retryAfterMs, 60_000)))
                guard now() + wait < deadline else { throw HeliographClientError.refused(error) }
                try await Task.sleep(nanoseconds: UInt64(wait.nanoseconds))
            }
        }
    }

    /// At least so long, and up to a quarter longer: many who were refused at once do not come back at once.
    private static func jittered(_ milliseconds: UInt32) -> TimeSpan {
        .milliseconds(Int(milliseconds) + Int.random(in: 0...Int(milliseconds) / 4))
    }

    /// Says how the user is, to all who see her.
    public func setPresence(_ status: RelayStatus, note: String? = nil) async throws {
        try await expectDone(
            .with {
                $0.presence.status = status
                if let note { $0.presence.note = note }
            })
    }

    /// A page of a room's members; `next` of the reply is `after` of the next page.
    public func members(room: String, after: String? = nil, limit: UInt32? = nil) async throws -> RelayMembers {
        let reply = try await request(
            .with {
                $0.members.room = room
                if let after { $0.members.after = after }
                if let limit { $0.members.limit = limit }
            })
        guard case .members(let members) = reply else { throw HeliographClientError.unexpectedReply }
        return members
    }

    /// Asks for pushes about users, and how they are now.
    public func watch(users: [String]) async throws -> [RelayUserState] {
        guard case .watching(let watching) = try await request(.with { $0.watch.users = users }) else {
            throw HeliographClientError.unexpectedReply
        }
        return watching.users
    }

    public func unwatch(users: [String]) async throws {
        try await expectDone(.with { $0.unwatch.users = users })
    }

    /// Says that the user types, or no longer does; repeat `active` every 3 s. Nobody answers, and it is left out while
    /// the connection is away or full.
    public func setTyping(room: String, active: Bool) {
        state.withLock { state in
            guard case .open(let connection) = state.phase, connection.isRoomy else { return }
            let frame = RelayClientFrame.with {
                $0.typing.room = room
                $0.typing.active = active
            }
            try? connection.send([frame], bytesMax: state.frameBytesMax)
        }
    }

    /// A page of a room's log before or after a position; without either the newest messages.
    public func history(
        room: String, before: Position? = nil, after: Position? = nil, limit: UInt32? = nil
    ) async throws -> RelayHistory {
        let reply = try await request(
            .with {
                $0.history.room = room
                if let before { $0.history.before = RelayPosition(before) }
                if let after { $0.history.after = RelayPosition(after) }
                if let limit { $0.history.limit = limit }
            })
        guard case .history(let history) = reply else { throw HeliographClientError.unexpectedReply }
        return history
    }

    /// Says up to where the user has received or read a room. Cumulative: one for the last message is enough, and an earlier position
    /// than the last changes nothing. Needs a subscription, except in her own inbox.
    public func receipt(room: String, position: Position, kind: RelayReceiptKind) async throws {
        try await expectDone(
            .with {
                $0.receipt.room = room
                $0.receipt.position = RelayPosition(position)
                $0.receipt.kind = kind
            })
    }

    /// How many messages the user has not read in each of at most 200 rooms; without rooms, in all that she is subscribed to and in
    /// her inbox.
    public func unread(rooms: [String] = []) async throws -> [RelayRoomUnread] {
        guard case .unread(let unread) = try await request(.with { $0.unread.rooms = rooms }) else {
            throw HeliographClientError.unexpectedReply
        }
        return unread.rooms
    }

    /// The time of one round trip to the relay.
    public func ping() async throws -> TimeSpan {
        let start = now()
        guard case .pong = try await request(.with { $0.ping = RelayPing() }, survivesReconnect: false) else {
            throw HeliographClientError.unexpectedReply
        }
        return now() - start
    }

    // MARK: - Underneath

    func expectDone(_ frame: RelayClientFrame) async throws {
        guard case .done = try await request(frame) else { throw HeliographClientError.unexpectedReply }
    }

    /// Sends a frame under a fresh id and waits for its reply; an error reply is thrown as `refused`.
    private func request(
        _ frame: RelayClientFrame, survivesReconnect: Bool = true, deadline: Instant? = nil
    ) async throws -> RelayServerFrame.OneOf_Frame? {
        let id = Mutex<UInt32?>(nil)
        let deadline = deadline ?? now() + options.requestTimeout
        let reply = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let assigned = state.withLock { state in
                    submit(frame, .caller(continuation), survivesReconnect: survivesReconnect, deadline: deadline, &state)
                }
                id.withLock { $0 = assigned }
                // A cancellation that came before the id was there has found nothing to cancel.
                if Task.isCancelled { cancel(assigned) }
            }
        } onCancel: {
            cancel(id.withLock { $0 })
        }
        if case .error(let error) = reply.frame { throw HeliographClientError.refused(error) }
        return reply.frame
    }

    private func cancel(_ id: UInt32?) {
        guard let id else { return }
        state.withLock { $0.fail(id, CancellationError(), now: now()) }
    }

    /// Enters a request and sends it if there is a connection. Nil if it has failed already.
    @discardableResult
    func submit(
        _ frame: RelayClientFrame, _ waiter: Waiter, survivesReconnect: Bool, deadline: Instant? = nil, _ state: inout ClientState
    ) -> UInt32? {
        switch state.phase {
        case .over(let error):
            state.fail(waiter, error, now: now())
            return nil
        case .connecting where !survivesReconnect:
            state.fail(waiter, HeliographClientError.connectionLost(.transport("not connected")), now: now())
            return nil
        case .connecting, .open: break
        }
        let deadline = deadline ?? now() + options.requestTimeout
        guard let id = state.table.add(frame, waiter: waiter, deadline: deadline, survivesReconnect: survivesReconnect) else {
            state.fail(waiter, HeliographClientError.tooManyRequests, now: now())
            return nil
        }
        if case .open(let connection) = state.phase { transmit(frame, id, on: connection, &state) }
        return id
    }

    func transmit(_ body: RelayClientFrame, _ id: UInt32, on connection: ClientConnection, _ state: inout ClientState) {
        var frame = body
        frame.id = id
        if case .subscribe(let ask) = body.frame { frame.subscribe = state.resumption.completed(ask) }
        do throws(HeliographClientError) {
            try connection.send([frame], bytesMax: state.frameBytesMax)
        } catch {
            state.fail(id, error, now: now())
        }
    }

    private static func makeKey() -> String {
        String(UInt64.random(in: 0...(.max)), radix: 36) + String(UInt64.random(in: 0...(.max)), radix: 36)
    }
}

extension RelayPosition {
    public init(_ position: Position) {
        self.init()
        epoch = position.epoch
        seq = position.seq
    }
}
