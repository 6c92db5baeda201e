import Logging
import MeshConfiguration
import MeshCore
import NIOCore
import Session
import Store
import TLS
import Transport
import Wire

extension Cell: ClientFront {
    var acceptsConnections: Bool { isOpen && sessions.count < context.limits.connectionsMax / ports.count }

    func connected(_ connection: ClientConnection) {
        let session = ClientSession(cell: self, connection: connection, number: nextSession())
        sessions[session.number] = session
        doors[connection.door, default: 0] += 1
        connection.delegate = session
    }

    func answer(_ question: HTTPQuestion) -> EventLoopFuture<HTTPAnswer> {
        loop.makeSucceededFuture(ClientHTTP(cell: self).answer(question))
    }

    func countDrop(_ reason: DropReason) { drops.count(reason) }

    func secured(_ handshake: TLSHandshake) {
        figures.tlsHandshakes += 1
        if handshake.wasResumed { figures.tlsResumptions += 1 }
    }

    /// The session has left its rooms.
    func ended(_ session: ClientSession) {
        sessions[session.number] = nil
        awaitingVisibility[session.number] = nil
        doors[session.connection.door, default: 1] -= 1
    }

    func encode(_ frame: RelayServerFrame, _ encoding: FrameEncoding, into buffer: inout ByteBuffer) {
        do throws(FrameFault) {
            try ServerFrameEncoder.append(frame, encoding: encoding, to: &buffer)
        } catch {
            drops.count(.malformedFrame)
        }
    }

    /// What a session confirmed goes up with this tick.
    func say(_ receipt: Receipt, in room: String) {
        said.say(receipt, in: room)
        scheduleTick()
    }

    func passReceipts() {
        for (room, receipts) in said.take() {
            post(.up(room: room, child: .cell(index), .receipts(receipts)), to: hubCell(of: room))
        }
    }

    /// A key for a publish that came without one: unique over nodes, their runs, sessions and time.
    func makeKey(for session: ClientSession) -> String {
        lastKey += 1
        return "\(keyPrefix)-\(String(lastKey, radix: 36))"
    }
}

extension Cell {
    static let fastTick = TimeAmount.milliseconds(100)

    /// The cell's own clock: what is restless is looked at ten times a second, everything else once.
    func startTimers() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleRepeatedTask(initialDelay: Self.fastTick, delay: Self.fastTick) { task in
            guard !bound.value.isStopped else { return task.cancel() }
            bound.value.onFastTick()
        }
    }

    private func onFastTick() {
        fastTicks += 1
        let now = Clock.now()
        expireLingering(now: now)
        expireAwaitingVisibility(now: now)
        tickRooms(now: now)
        for completion in requests.expired(now: now) {
            completion(.refused(Refusal(.unanswered, "no answer from the room's home in time", retryAfterMs: 1000)))
        }
        if fastTicks % 3 == 0 { for session in Array(sessions.values) { session.sweep(now: now) } }
        if fastTicks % 10 == 0 {
            for session in Array(sessions.values) { session.checkClock(now: now) }
            expirePages(now: now)
            attachStoreIfDue()
        }
        if fastTicks % 100 == 0 { forgetIdleRooms(now: now) }
    }

    private func attachStoreIfDue() {
        if !storeKeeper.isUp, store.state == .up { attachStore() }
    }

    private func tickRooms(now: Instant) {
        for (room, leaf) in restlessLeaves {
            leaf.tick(now: now)
            if leaf.isSettled {
                restlessLeaves[room] = nil
                if leaf.isIdle { forget(leaf) }
            }
        }
        guard hubsToLookAt.isEmpty else { return }
        hubsToLookAt = Array(restlessHubs.values)
        lookAtHubs()
    }

    /// Thousands of rooms may have something to say at the same moment: when a node has died and all its members are gone. What lasts longer than
    /// this goes on behind a pause, in which replies and other sessions have their turn.
    private static let hubsPatience = TimeSpan.milliseconds(20)

    private func lookAtHubs() {
        let now = Clock.now()
        while let hub = hubsToLookAt.popLast() {
            guard hubs[hub.name] === hub else { continue }
            hub.tick(now: now)
            if hub.isSettled { restlessHubs[hub.name] = nil }
            guard Clock.now() - now >= Self.hubsPatience, !hubsToLookAt.isEmpty else { continue }
            let bound = NIOLoopBound(self, eventLoop: loop)
            loop.scheduleTask(in: .milliseconds(1)) { if !bound.value.isStopped { bound.value.lookAtHubs() } }
            return
        }
    }

    private func forget(_ leaf: LeafRoom) {
        leaf.forgetEarlier()
        leaves[leaf.name] = nil
    }

    private func forgetIdleRooms(now: Instant) {
        for leaf in leaves.values { leaf.expireTail(now: now) }
        for hub in hubs.values { hub.expireTail(now: now) }
        for (room, hub) in hubs where restlessHubs[room] == nil && hub.isIdle(now: now) {
            hub.forgetEarlier()
            hubs[room] = nil
        }
    }

    private func expirePages(now: Instant) {
        for (id, reader) in readersWithPages {
            reader.expire(now: now)
            if reader.isSettled { readersWithPages[id] = nil }
        }
    }

    func report() -> CellReport {
        CellReport(
            figures: figures, drops: drops, store: store.figures, storeState: store.state, sessions: sessions.count,
            lingeringSessions: lingering.count, rooms: leaves.count,
            hubs: hubs.count, rootedRooms: hubs.values.reduce(0) { $0 + ($1.root == nil ? 0 : 1) }, requests: requests.count,
            tailBytes: tailBytes, admissionQueue: admission.waiting, storeGateWaiting: storeGate.waitingCount, doors: doors,
            multiplexers: tools.multiplexerCount, sends: tools.meter.sends, sentBytes: tools.meter.bytes,
            partialSends: tools.meter.partialSends)
    }
}
