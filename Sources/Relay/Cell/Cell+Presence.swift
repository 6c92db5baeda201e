import MeshCore
import Session
import View
import Wire

// MARK: - Sessions that have ended and are still shown

extension Cell {
    /// How long a session that goes on elsewhere is still shown here: until its new owner has announced it everywhere.
    static let handOver = TimeSpan.milliseconds(1500)

    /// The session has ended and may come back: it is shown until then.
    func linger(_ session: LingeringSessions<SessionHeir>.Session, until: Instant) {
        guard let evicted = lingering.add(session, until: until) else { return }
        drops.count(.graceTableFull)
        hide(evicted)
    }

    func expireLingering(now: Instant) {
        guard !lingering.isEmpty else { return }
        for session in lingering.expire(now: now) { hide(session) }
    }

    func hide(_ session: LingeringSessions<SessionHeir>.Session) {
        for room in session.rooms { announce(.members(upserted: [], removed: [session.number]), in: room) }
    }

    /// What a session of this cell says about itself in a room.
    func announce(_ up: TreeUp, in room: String) {
        post(.up(room: room, child: .cell(index), up), to: hubCell(of: room))
    }
}

// MARK: - Sessions that go on elsewhere

extension Cell {
    /// Towards the owner of the session.
    func route(_ taken: SessionTaken) {
        guard taken.owner.node != context.node else {
            // A run that is over has nothing to let go of.
            guard taken.owner == context.owner else { return }
            return post(.taken(taken), to: cell(ofSession: taken.number))
        }
        guard taken.hops < Self.hopsMax, let next = topology.nextHop(from: context.node, to: taken.owner.node) else {
            return drops.count(.noRoute)
        }
        var onward = taken
        onward.hops += 1
        send(onward.frame, to: next)
    }

    /// A session of this cell goes on elsewhere, or whoever says so comes too late. One that is gone needs nothing.
    func sessionTaken(_ taken: SessionTaken) {
        let now = Clock.now()
        if let session = sessions[taken.number], session.identity.number == taken.identity, !session.hasLeft {
            let own = SessionHeir(owner: context.owner, number: session.number)
            guard SessionTaken.isLater((taken.taken, taken.heir), than: (session.identity.taken, own)) else {
                return tell(taken.heir, of: taken.identity, heir: own, taken: session.identity.taken)
            }
            session.takenOver()
        }
        lingering.shorten(taken.number, until: now + Self.handOver)
        let known = lingering.heir(of: taken.number, identity: taken.identity)
        if let known, known.heir == taken.heir { return }
        if let known, SessionTaken.isLater(known, than: (taken.taken, taken.heir)) {
            return tell(taken.heir, of: taken.identity, heir: known.heir, taken: known.taken)
        }
        lingering.remember(taken.number, identity: taken.identity, heir: taken.heir, taken: taken.taken, now: now)
        if let known { tell(known.heir, of: taken.identity, heir: taken.heir, taken: taken.taken) }
    }

    private func tell(_ loser: SessionHeir, of identity: UInt64, heir: SessionHeir, taken: UInt64) {
        route(SessionTaken(owner: loser.owner, number: loser.number, identity: identity, taken: taken, heir: heir))
    }
}

// MARK: - Announcements after a change of topology

extension Cell {
    /// Whether all that others own of the rooms rooted here was announced. Before the node has looked around for its peers nothing is known.
    var hasHeardAnnouncements: Bool { maySpeakToStore && rounds.isSettled() }

    /// Once everything of this tick was announced.
    func sayRounds() {
        for (round, nodes) in rounds.takeDue() {
            let mark = AnnouncementRounds.Mark(topology: rounds.topology, round: round, cell: index, cells: ports.count)
            for node in nodes { send(TreeCodec.frame(mark), to: node) }
        }
    }
}
