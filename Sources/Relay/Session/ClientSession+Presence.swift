import MeshConfiguration
import MeshCore
import Presence
import Session
import SwiftProtobuf
import Transport
import Wire

/// Which session it is, wherever it goes on.
struct SessionIdentity: Hashable, Sendable {
    /// Unguessable, both; the number alone names the session on the mesh.
    var number: UInt64
    var secret: UInt64
    /// 0 for a session that has taken over no other.
    var taken: UInt64

    static func random() -> SessionIdentity {
        var generator = SystemRandomNumberGenerator()
        return SessionIdentity(
            number: .random(in: 1 ... .max, using: &generator), secret: .random(in: .min ... .max, using: &generator), taken: 0)
    }
}

/// Whether other sessions of a user hide her, as the root of her own room says.
enum Visibility: Hashable, Sendable {
    /// Not heard yet. Until then, and for a second at most, the session is announced in no room but her own.
    case unknown
    case visible
    case hidden
}

extension ClientSession {
    // MARK: What others see of her

    /// Whether she is to be seen nowhere: no presence, no typing, no receipts, no last-seen.
    var isHidden: Bool { status == .invisible || visibility == .hidden }

    private func entry(in room: String) -> MemberEntry {
        let isShown = room == NameRules.inbox(of: user) || !isHidden
        return MemberEntry(
            session: number, user: user, device: device, status: isShown ? status : .invisible, note: note, identity: identity.number,
            taken: identity.taken)
    }

    func present(in room: String) {
        guard visibility != .unknown || room == NameRules.inbox(of: user) else { return }
        cell.announce(.members(upserted: [entry(in: room)], removed: []), in: room)
    }

    private func absent(from room: String) { cell.announce(.members(upserted: [], removed: [number]), in: room) }

    private func presentInRooms() {
        for room in subscriptions.keys { present(in: room) }
    }

    /// The root of her own room has said whether a session of hers hides her, or has not said it in time.
    func visibilityTold(_ isHidden: Bool) {
        let told: Visibility = isHidden ? .hidden : .visible
        cell.awaitingVisibility[number] = nil
        guard visibility != told, !hasLeft else { return }
        let wasUnknown = visibility == .unknown
        let wasHidden = self.isHidden
        visibility = told
        if self.isHidden { stopTyping() }
        if wasUnknown || wasHidden != self.isHidden { presentInRooms() }
    }

    /// The subscriber herself as she will be announced: the list that she is given does not lack her.
    var ownMember: Member? {
        isHidden ? nil : Member(user: user, status: status, note: note, devices: 1)
    }

    /// Tells her of members of a room.
    ///
    /// - Parameter frame: the same diff, made once for all who listen.
    func push(_ diff: MemberDiff, in room: String, as frame: RelayServerFrame) {
        guard awaitsOwnJoin.contains(room), let index = diff.joined.firstIndex(where: { $0.user == user }) else {
            return push(frame, room: room, diff)
        }
        awaitsOwnJoin.remove(room)
        var rest = diff
        let own = rest.joined.remove(at: index)
        if own != ownMember { rest.updated.append(own) }
        guard !rest.isEmpty else { return }
        push(.with { $0.roomPresence = .init(room, rest) }, room: room, rest)
    }

    func setPresence(_ ask: RelayPresence, id: UInt32) throws(RequestFault) {
        guard ask.hasStatus || ask.hasNote else { throw .invalid("presence needs a status or a note") }
        guard let claimed = Status(claimed: ask.hasStatus ? ask.status : RelayStatus(status)) else {
            throw .invalid("status must be ONLINE, AWAY, BUSY or INVISIBLE")
        }
        guard ask.note.utf8.count <= SessionOpening.noteBytesMax else { throw .invalid("a note has at most 256 bytes") }
        status = claimed
        if ask.hasNote { note = ask.note }
        if isHidden { stopTyping() }
        present(in: NameRules.inbox(of: user))
        presentInRooms()
        reply(id, .done(.init()))
    }

    // MARK: Coming

    /// The session is announced, and whoever had it before is told that it goes on here.
    func beginPresence() {
        cell.awaitingVisibility[number] = Clock.now()
        present(in: NameRules.inbox(of: user))
    }

    func tellPredecessor(_ ticket: SessionTicket) {
        cell.route(
            SessionTaken(
                owner: ticket.owner, number: ticket.number, identity: identity.number, taken: identity.taken,
                heir: SessionHeir(owner: cell.context.owner, number: number)))
    }

    /// What whoever takes the session over has to know.
    var ticketText: String {
        cell.context.tickets.text(
            for: SessionTicket(
                identity: identity.number, secret: identity.secret, taken: identity.taken, owner: cell.context.owner, number: number,
                user: user, device: device))
    }

    // MARK: Going

    /// The session goes on elsewhere: this transport is of no use any more.
    func takenOver() {
        leaveEverything(lingeringFor: Cell.handOver)
        connection.discardOutbox()
        goodbye(.takenOver, "the session goes on over another connection")
    }

    /// How long the session is still shown after its end; nil for not at all.
    func lingering(after end: SessionEnd) -> TimeSpan? {
        let grace = cell.context.timings.sessionGrace
        guard end.mayReturn, grace > .zero else { return nil }
        return grace + .milliseconds(returnSlotMs)
    }

    /// - Parameter lingering: how long others still see her there; nil: not at all.
    func leaveEverything(lingeringFor lingering: TimeSpan?) {
        guard grants != nil, !hasLeft else { return }
        resumption = nil
        stopTyping()
        let rooms = [NameRules.inbox(of: user)] + subscriptions.keys.filter { $0 != NameRules.inbox(of: user) }
        for room in Array(subscriptions.keys) { detach(from: room) }
        for user in watched { stopWatching(user) }
        watched.removeAll()
        publishes.removeAll()
        hasLeft = true
        if let lingering {
            cell.linger(
                .init(number: number, identity: identity.number, user: user, rooms: rooms), until: Clock.now() + lingering)
        } else {
            for room in rooms { absent(from: room) }
        }
    }

    func leave(_ room: String) {
        guard subscriptions[room] != nil else { return }
        if typingIn[room] != nil { stopTyping(in: room) }
        detach(from: room)
        // Her own room stays: the session itself is a member of it.
        if room != NameRules.inbox(of: user) { absent(from: room) }
    }

    /// Nothing more comes from the room.
    private func detach(from room: String) {
        awaitsOwnJoin.remove(room)
        if let catchUp = catchUps.removeValue(forKey: room), case .reply(let id)? = catchUp.opening { fail(id, Self.leftTooSoon) }
        keptBack?.forget(room)
        guard let subscription = subscriptions.removeValue(forKey: room), let leaf = cell.leaves[room] else { return }
        if subscription.isLive { leaf.removeRecipient(connection) }
        leaf.listen(self, [])
        leaf.remove(subscription.interest)
    }

    // MARK: Typing

    private func stopTyping() {
        for room in Array(typingIn.keys) { stopTyping(in: room) }
    }

    private func stopTyping(in room: String) {
        typingIn[room] = nil
        cell.leaf(room).sendUp(.typing(user: user, active: false))
    }
}

extension Cell {
    /// A session that has not heard in time whether its user hides is shown: her home is out of reach, and her rooms may not be.
    static let visibilityPatience = TimeSpan.seconds(1)

    func expireAwaitingVisibility(now: Instant) {
        guard !awaitingVisibility.isEmpty else { return }
        for (number, since) in awaitingVisibility where now - since >= Self.visibilityPatience {
            awaitingVisibility[number] = nil
            sessions[number]?.visibilityTold(false)
        }
    }
}
