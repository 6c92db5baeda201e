import MeshConfiguration
import MeshCore
import Session
import SwiftProtobuf
import Wire

/// What a session does when something of it, or around it, is deleted; and what it notes so that everything of its user can be.
extension ClientSession {
    /// The user was deleted. She may come back when her token still allows it; then she begins anew.
    func endDeleted() {
        guard !isEnded else { return }
        goodbye(.forbidden, "the user was deleted")
        end()
    }

    /// A subscription that waits for the room's state goes on: it begins after the deletion.
    func roomDeleted(_ room: String) {
        let wasTold = subscriptions[room]?.isLive == true || catchUps[room].map { $0.opening == nil } ?? false
        guard wasTold else { return }
        leave(room)
        push(
            .with {
                $0.unsubscribed.room = room
                $0.unsubscribed.error = RelayError(.notFound, "the room was deleted")
            })
    }

    /// The user has receipts in a room: they are found when she is deleted or asks for her data. Told to the root of her inbox once for each room, and again if that has failed.
    func noteRoomOfUser(_ room: String) {
        guard !user.isEmpty, notedRooms.insert(room).inserted else { return }
        let inbox = NameRules.inbox(of: user)
        cell.ask(inbox, .data(.noteRoom(room)), deadline: cell.context.timings.requestDeadline) { [weak self] answer in
            if case .refused = answer { self?.notedRooms.remove(room) }
        }
    }
}
