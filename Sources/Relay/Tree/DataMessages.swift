import MeshCore
import Presence

/// What is asked of a room's root about what is stored: deletion and export.
enum DataAsk: Hashable, Sendable {
    case deleteRoom
    /// Of the root of her inbox, as the next three.
    case deleteUser
    /// The user has something of hers in this room.
    case noteRoom(String)
    case rooms(after: String, limit: Int)
    case profile
    /// Of any room.
    case deleteReceipts(user: String)
}

enum DataAnswer: Hashable, Sendable {
    /// Nil if the room had no log.
    case deleted(upTo: Position?)
    case done
    case rooms([String])
    case profile(UserProfile)
}

struct UserProfile: Hashable, Sendable {
    var lastSeen: WallMilliseconds
    /// Those that are there now.
    var sessions: [MemberEntry]
    /// Where notifications go.
    var pushDevices: [PushDevice]

    struct PushDevice: Hashable, Sendable {
        var device: String
        var service: String
        /// Milliseconds since 1970.
        var updatedAt: WallMilliseconds
    }
}

/// Something was deleted, on its way down: whoever keeps messages up to this position forgets them, and subscriptions end.
struct RoomDeletion: Hashable, Sendable {
    var upTo: Position
    /// The room was the inbox of a user who was deleted as a whole.
    var endsUser: Bool
}

/// Something asked of one node, whichever rooms it roots. Answered like a request to a root.
struct NodeRequest: Sendable {
    enum Ask: Hashable, Sendable {
        /// What this node's region holds of the room, which is not homed there.
        case deleteCopy(room: String, ofUser: Bool)
        case endSessions(user: String)
    }

    var origin: NodeBoot
    var id: UInt64
    var hops: Int
    var node: NodeID
    var ask: Ask
}
