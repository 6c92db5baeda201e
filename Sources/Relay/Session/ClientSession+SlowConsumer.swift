import MeshConfiguration
import MeshCore
import Presence
import Rooms
import Session
import SwiftProtobuf
import Transport
import Wire

/// The ladder that a session goes down while its client reads more slowly than it is sent (promise P9).
extension ClientSession {
    var ladder: ConsumerLadder { ConsumerLadder(outboxBytesMax: cell.context.limits.outboxBytesMax) }
    var stage: ConsumerStage { ladder.stage(waiting: connection.waitingBytes) }

    func connectionIsBehind() { cell.queueSlow(self) }
    func connectionDrained() { cell.queueCatchUp(self) }
    func connectionShedBatch() { cell.drops.count(.ephemeralShed) }

    /// At the end of a tick, when nobody walks over the sessions.
    func slowDown() {
        guard !isEnded else { return }
        let live = subscriptions.filter(\.value.isLive).keys.compactMap { cell.leaves[$0] }
        // Whoever is not even fed with messages any more is full of what cannot wait.
        if connection.isFull, !live.isEmpty { connection.tolerateBacklog() }
        if connection.isFull || keptBack?.isTooMuch == true { return endSlow() }
        guard !live.isEmpty else { return }
        cell.figures.fellBehind += 1
        for leaf in live { fallBack(to: leaf) }
        cell.queueCatchUp(self)
    }

    // MARK: Pushes that can wait

    func push(_ frame: RelayServerFrame, room: String, _ diff: MemberDiff) {
        guard stage >= .folding || keptBack?.holds(presenceOf: room) == true else { return push(frame) }
        keepBack { $0.keep(room, diff) }
    }

    func push(_ frame: RelayServerFrame, watched user: String) {
        guard stage >= .folding else { return push(frame) }
        keepBack { $0.keep(watched: user) }
    }

    func push(_ frame: RelayServerFrame, room: String, typist user: String) {
        guard stage >= .shedding else { return push(frame) }
        cell.drops.count(.typingShed)
        keepBack { $0.keep(typist: user, in: room) }
    }

    private func keepBack(_ keep: (inout KeptBack) -> Void) {
        var kept = keptBack ?? KeptBack()
        keptBack = nil
        keep(&kept)
        keptBack = kept
        connection.wantsDrain = true
        if kept.isTooMuch { cell.queueSlow(self) }
    }

    /// There is room: everything is told as it is now.
    func tellKeptBack() {
        guard let kept = keptBack else { return }
        guard ladder.isDrained(waiting: connection.waitingBytes) else {
            connection.wantsDrain = true
            return
        }
        keptBack = nil
        for (room, fold) in kept.presence {
            for part in fold.diff.parts(entriesMax: MemberPublication.listMaxDefault) {
                push(.with { $0.roomPresence = .init(room, part) })
            }
        }
        for user in kept.watched {
            if let leaf = cell.leaves[NameRules.inbox(of: user)] { push(leaf.userPresence(of: user)) }
        }
        for (room, users) in kept.typists {
            guard let leaf = cell.leaves[room] else { continue }
            let typing = Set(leaf.typingUsers)
            for user in users { push(leaf.typingFrame(.init(user: user, active: typing.contains(user)))) }
        }
    }
}
