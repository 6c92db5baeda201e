import MeshConfiguration
import MeshCore
import NIOCore
import Rooms
import Session
import SwiftProtobuf
import Wire

/// Rooms that a hello takes up again where its client has left them.
extension ClientSession {
    /// Calls `welcome` once, with what became of each room by then.
    func resume(_ entries: [RelayResume], _ grants: Grants, welcome: @escaping ([RelayResumed]) -> Void) {
        let resumption = Resumption(proceed: welcome)
        self.resumption = resumption
        // All are expected before the first is looked at: one that is known at once must not be taken for all.
        for entry in entries where subscriptions[entry.room] == nil { resumption.expect(entry.room) }
        for entry in entries where subscriptions[entry.room] == nil { begin(entry, grants, resumption) }
        settleResumption()
        let bound = NIOLoopBound(self, eventLoop: cell.loop)
        cell.loop.scheduleTask(in: .nanoseconds(Resumption.patience.nanoseconds)) { bound.value.finishResumption() }
    }

    private func begin(_ entry: RelayResume, _ grants: Grants, _ resumption: Resumption) {
        do throws(RequestFault) {
            let interest = try interest(in: entry.room, presence: entry.presence, typing: entry.typing, receipts: entry.receipts, grants)
            guard subscriptions.count < cell.context.limits.subscriptionsPerSessionMax else {
                throw RequestFault(code: .resourceExhausted, message: "a session may be in that many rooms only", drop: .invalidRequest)
            }
            awaitRoom(enter(entry.room, interest, from: .after(entry.position.place)), interest)
        } catch {
            if let drop = error.drop { cell.drops.count(drop) }
            resumption.refuse(entry.room, error)
        }
    }

    /// Until the room can be reached: it is pending, not refused.
    private func awaitRoom(_ leaf: LeafRoom, _ interest: Interest) {
        leaf.whenCovered(interest) { [weak self] reached in
            // It may have subscribed meanwhile, or left and come again.
            guard let self, !isEnded, isNew(leaf), let start = subscriptions[leaf.name]?.start else { return }
            guard reached else { return awaitRoom(leaf, interest) }
            replay(leaf.name, from: start, resumption == nil ? .push : .welcome)
            settleResumption()
        }
    }

    /// All rooms are known before the time is over. Not while one of them is being looked at.
    func settleResumption() {
        if resumption?.isSettled == true { finishResumption() }
    }

    private func finishResumption() {
        guard let resumption, !isEnded else { return }
        self.resumption = nil
        resumption.finish()
        welcomed(resumption.told)
        receiveHeld()
    }
}
