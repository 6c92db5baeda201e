import MeshConfiguration
import MeshCore
import NIOCore
import Rooms
import Session
import SwiftProtobuf
import Wire

/// A publish that has no outcome yet.
struct PendingPublish: Sendable {
    var id: UInt32
    var publication: Publication
    var madeAt: Instant
}

extension ClientSession {
    static let keyBytesMax = 128
    static let contentTypeBytesMax = 255
    /// How long a publish that nobody can be asked for is repeated before the client is told.
    private static let unreachableBound = TimeSpan.seconds(5)
    private static let repeatAfter = TimeSpan.milliseconds(500)
    /// A publish that was sent and not heard of is sent again; its key keeps it from appearing twice.
    private static let silenceBound = TimeSpan.seconds(3)

    func publish(_ ask: RelayPublish, id: UInt32, _ grants: Grants) throws(RequestFault) {
        try check(ask, grants)
        let limits = cell.context.limits
        guard publishRate.take(now: Clock.now()) else {
            throw RequestFault(
                code: .resourceExhausted, message: "this session publishes faster than it may",
                retryAfterMs: publishRate.wait.milliseconds + 1,
                drop: .publishRate)
        }
        guard publishesInFlight < limits.publishesInFlightPerSessionMax else {
            cell.drops.count(.publishQueueFull)
            throw RequestFault(code: .resourceExhausted, message: "too many publishes of this session are under way", retryAfterMs: 250)
        }
        let pending = makePending(ask, id: id)
        publishesInFlight += 1
        if !typingIn.isEmpty, typingIn.removeValue(forKey: ask.room) != nil {
            cell.leaf(ask.room).sendUp(.typing(user: user, active: false))
        }
        if ask.durability == .ephemeral {
            sendEphemeral(pending, to: ask.room)
        } else {
            let now = Clock.now()
            let (entry, base) = publishes[ask.room, default: .init(startingAt: nextPublishNumber)].add(
                pending, now: now, deadline: now + cell.context.timings.publishDeadline)
            nextPublishNumber = max(nextPublishNumber, entry.number + 1)
            sendNumbered(entry, base: base, to: ask.room)
        }
    }

    private func check(_ ask: RelayPublish, _ grants: Grants) throws(RequestFault) {
        try checkRoom(ask.room)
        guard grants.allows(.publish, in: ask.room) else { throw .denied("the token does not allow to publish in \(ask.room)") }
        guard ask.key.utf8.count <= Self.keyBytesMax else { throw .invalid("a key has at most 128 bytes") }
        guard ask.contentType.utf8.count <= Self.contentTypeBytesMax else { throw .invalid("a contentType has at most 255 bytes") }
        guard ask.content != nil else { throw .invalid("publish needs text or data") }
        switch ask.durability {
        case .home, .ephemeral: break
        case .mesh: throw .unimplemented("MESH durability is not available yet")
        case .UNRECOGNIZED: throw .invalid("durability must be HOME, MESH or EPHEMERAL")
        }
    }

    private func makePending(_ ask: RelayPublish, id: UInt32) -> PendingPublish {
        let key = ask.key.isEmpty ? cell.makeKey(for: self) : ask.key
        let body = MessageBody.encode(ask, from: user, device: device, key: key)
        return PendingPublish(
            id: id, publication: Publication(user: user, key: key, durability: ask.durability, body: body), madeAt: Clock.now())
    }

    // MARK: Ephemeral: sent once

    private func sendEphemeral(_ pending: PendingPublish, to room: String) {
        let ask = PublishAsk(session: number, number: 0, base: 0, publication: pending.publication)
        cell.ask(room, .publish(ask), deadline: cell.context.timings.requestDeadline) { [weak self] answer in
            self?.settle(pending, room, answer)
        }
    }

    // MARK: Durable: numbered, and repeated by key until the outcome is known

    private func sendNumbered(_ entry: PublishQueue<PendingPublish>.Pending, base: UInt64, to room: String) {
        let ask = PublishAsk(session: number, number: entry.number, base: base, publication: entry.publish.publication)
        cell.ask(room, .publish(ask), deadline: cell.context.timings.publishDeadline) { [weak self] answer in
            self?.answered(entry.number, room, answer)
        }
    }

    private func answered(_ number: UInt64, _ room: String, _ answer: RootResponse.Answer) {
        if case .refused(let refusal) = answer, isRepeatable(refusal, number, room) {
            publishes[room]?.markRefused()
            return
        }
        guard let index = publishes.index(forKey: room), let pending = publishes.values[index].settle(number) else { return }
        if publishes.values[index].isEmpty { publishes.remove(at: index) }
        settle(pending, room, answer)
    }

    /// Whether the publish stays in its queue and is sent again by `sweep`.
    private func isRepeatable(_ refusal: Refusal, _ number: UInt64, _ room: String) -> Bool {
        switch refusal.reason {
        case .notRoot, .outOfSequence, .unanswered: return true
        case .unreachable:
            guard let pending = publishes[room]?.pending(number) else { return true }
            return Clock.now() - pending.madeAt < Self.unreachableBound
        case .unavailable, .exhausted, .unimplemented: return false
        }
    }

    /// Everything without an outcome goes out again, from the first: a link or a root may have lost it.
    func repeatPublishes() {
        for room in Array(publishes.keys) { repeatPublishes(to: room) }
    }

    private func repeatPublishes(to room: String) {
        let entries = publishes[room]?.resend(now: Clock.now()) ?? []
        for entry in entries { sendNumbered(entry, base: entries[0].number, to: room) }
    }

    private func settle(_ pending: PendingPublish, _ room: String, _ answer: RootResponse.Answer) {
        guard !isEnded else { return }
        publishesInFlight -= 1
        switch answer {
        case .published(let position, let at, let duplicate):
            cell.figures.publishes[.acknowledged, default: 0] += 1
            reply(pending.id, .published(published(pending, room, position, at, duplicate)))
        case .refused(let refusal):
            let fault = RequestFault(refusal)
            cell.figures.publishes[fault.code == .resourceExhausted ? .exhausted : .unavailable, default: 0] += 1
            fail(pending.id, fault)
        case .history, .replayed, .members, .description, .data, .unread, .done:
            fail(pending.id, RequestFault(code: .internal, message: "the room's root answered something else", drop: .protocolError))
        }
        closeWhenSettled()
    }

    private func published(
        _ pending: PendingPublish, _ room: String, _ position: Position?, _ at: WallMilliseconds, _ duplicate: Bool
    ) -> RelayPublished {
        .with {
            $0.room = room
            $0.key = pending.publication.key
            if let position { $0.position = RelayPosition(position) }
            $0.at = at
            $0.duplicate = duplicate
            $0.durability = pending.publication.durability
        }
    }

    /// Now and then: repeats what has not been heard of and gives up what has waited too long.
    func sweep(now: Instant) {
        if !catchUps.isEmpty { advanceCatchUps() }
        guard publishesInFlight > 0 else { return }
        for room in Array(publishes.keys) {
            for expired in publishes[room]?.expire(now: now) ?? [] { giveUp(expired) }
            guard let queue = publishes[room] else { continue }
            if queue.isEmpty { publishes[room] = nil }
            if queue.isOverdue(now: now, after: queue.isRefused ? Self.repeatAfter : Self.silenceBound) { repeatPublishes(to: room) }
        }
    }

    private func giveUp(_ pending: PendingPublish) {
        publishesInFlight -= 1
        cell.figures.publishes[.timedOut, default: 0] += 1
        let fault = RequestFault(
            code: .deadlineExceeded, message: "the outcome is unknown; repeat with the same key", retryAfterMs: 1000, drop: .publishTimeout)
        fail(pending.id, fault)
        closeWhenSettled()
    }
}
