import MeshCore
import NIOCore
import Presence
import Rooms
import Wire

/// A message of a room on its way down: made once at the root, shared by all levels.
struct RoomMessage: Sendable {
    /// Nil for an ephemeral one.
    var position: Position?
    /// The encoded `heliograph.v1.Message`, whole.
    var body: ByteBuffer
}

/// What a child tells its parent about a room.
enum TreeUp: Sendable {
    case join(generation: UInt64, interest: Interest, fence: Fence)
    case leave(generation: UInt64)
    case announce([OwnerUpdatePart])
    /// Only from a cell to the hub of its own node, which is the owner in the eyes of the others.
    case members(upserted: [MemberEntry], removed: [UInt64])
    case typing(user: String, active: Bool)
    case receipts([Receipt])
}

/// What a parent tells a child.
enum TreeDown: Sendable {
    case joined(RoomState)
    case refused(generation: UInt64)
    case delivery(generation: UInt64, Delivery)
    case members(generation: UInt64, MemberDiff)
    case typing(generation: UInt64, [TypingTable.Change])
    case receipts(generation: UInt64, ReceiptUpdate)
    /// In a sender's inbox.
    case directReceipt(generation: UInt64, DirectReceipt)
    /// An owner's delta did not fit: send snapshots.
    case presenceAsked
    /// All members, from a root that has heard everybody.
    case memberList(generation: UInt64, MemberList)
    /// In a user's own room, to where her sessions are: whether one of them is invisible.
    case hidden(Bool)
    /// Where the room stands: a child that is behind has lost something.
    case head(generation: UInt64, Position)
    case deleted(generation: UInt64, RoomDeletion)
}

/// Messages in order, after a range that was lost if `gap` says so.
struct Delivery: Sendable {
    struct Gap: Hashable, Sendable {
        var from: Position
        var to: Position
    }

    var gap: Gap?
    var messages: [RoomMessage] = []

    /// Whether it moves the head of the room: it is more than ephemeral messages.
    var isOrdered: Bool { gap != nil || messages.contains { $0.position != nil } }

    /// The same in pieces of at most about `bytesGoal`, in order; almost always one.
    func parts(bytesGoal: Int) -> [Delivery] {
        guard messages.reduce(0, { $0 + $1.body.readableBytes }) > bytesGoal else { return [self] }
        var parts: [Delivery] = []
        var part = Delivery(gap: gap)
        var bytes = 0
        for message in messages {
            if bytes > 0, bytes + message.body.readableBytes > bytesGoal {
                parts.append(part)
                part = Delivery()
                bytes = 0
            }
            part.messages.append(message)
            bytes += message.body.readableBytes
        }
        return parts + [part]
    }
}

/// The state of a room with which a join is answered.
struct RoomState: Sendable {
    var generation: UInt64
    /// Nil while it is not known: the log could not be opened.
    var head: Position?
    /// Up to where the room was deleted, `.zero` if it never was. Nil while it is not known.
    var deletedUpTo: Position?
    /// As far as the join asked for presence.
    var members: [Member] = []
    var count = 0
    var lastSeen: WallMilliseconds = 0
    var typing: [String] = []
    /// Nil if the join did not ask for them.
    var receipts: ReceiptUpdate?
    /// Of a root that has not heard everybody: who is missing has not left.
    var isSettling = false
}

/// Something asked of a room's root, from any node.
struct RootRequest: Sendable {
    enum Ask: Sendable {
        case publish(PublishAsk)
        case history(HistoryAsk)
        /// Answered by the first level on the way up that can.
        case replay(ReplayStart)
        case members(after: String, limit: Int)
        case describe
        case data(DataAsk)
        /// What a user has not read.
        case unread(user: String)
        /// For the owner of the inbox that is asked: somebody confirmed what she had sent.
        case directReceipt(DirectReceipt)
        case pushDevice(PushDeviceAsk)
    }

    var origin: NodeBoot
    var id: UInt64
    var hops: Int
    var ask: Ask
}

struct PublishAsk: Sendable {
    var session: UInt64
    /// In the session's publishes to this room; 0 for an ephemeral one, which is not repeated.
    var number: UInt64
    var base: UInt64
    var publication: Publication
}

/// What somebody publishes. A reference: it goes through tables, queues and batches, and a copy of all that it holds would cost more than the
/// rest of the way.
final class Publication: Sendable {
    let user: String
    let key: String
    let durability: RelayDurability
    /// The encoded `heliograph.v1.Message` without position and time.
    let body: ByteBuffer

    init(user: String, key: String, durability: RelayDurability, body: ByteBuffer) {
        self.user = user
        self.key = key
        self.durability = durability
        self.body = body
    }
}

struct HistoryAsk: Sendable {
    var after: Position?
    var before: Position?
    var limit: Int
    var newest: Bool
}

struct RootResponse: Sendable {
    enum Answer: Sendable {
        case published(position: Position?, at: WallMilliseconds, duplicate: Bool)
        case history([RoomMessage], more: Bool)
        case replayed(ReplayPage<RoomMessage>)
        case members([Member], count: Int, next: String)
        case description(RoomDescription)
        case data(DataAnswer)
        case unread(RoomUnread)
        case done
        case refused(Refusal)
    }

    var origin: NodeBoot
    var id: UInt64
    var hops: Int
    var answer: Answer
}

struct RoomDescription: Sendable {
    var head: Position
    var members: Int
    var sessions: [RegionID: Int]
    var logState: String
}

/// Why the root, or a node on the way to it, did not do what was asked.
struct Refusal: Error, Sendable {
    enum Reason: Sendable {
        /// Nothing happened or the outcome is unknown.
        case unavailable
        /// Not the root under this node's topology: compute again.
        case notRoot
        /// An earlier publish of the session is missing here: repeat from the first.
        case outOfSequence
        case exhausted
        case unimplemented
        /// The root was not asked: there is no way to it now.
        case unreachable
        /// Nobody answered in time. Said by the asking cell to itself, never on a link.
        case unanswered
    }

    var reason: Reason
    var message: String
    var retryAfterMs: Int

    init(_ reason: Reason, _ message: String, retryAfterMs: Int = 0) {
        self.reason = reason
        self.message = message
        self.retryAfterMs = retryAfterMs
    }
}
