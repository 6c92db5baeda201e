import MeshCore
import NIOCore

/// What a region keeps in its store: logs, presence, typing, receipts, leases, the roster. Two stores implement it,
/// `EmbeddedStore` and `RedisStore`, and one conformance suite holds both to this page.
///
/// A store belongs to one event loop (a cell): it is called on that loop and its futures complete there, in the order in
/// which the calls were made, never inside the call. Every call either completes within `StoreLimits.deadline` or fails with
/// `StoreError`. A failed *write* may have happened: `append` is repeated by key, the mirrors are written anew when the store is back.
public protocol RegionStore: AnyObject {
    /// Whether calls have a chance now. Changes are announced through the observer given at construction.
    var state: StoreState { get }

    /// What this store measured since it was made.
    var figures: StoreFigures { get }

    /// Begins to connect. From now on the observer hears of every change of `state`, the first `.up` included; at each `.up` the
    /// owner attaches, opens its logs anew and writes its mirrors anew. Call once.
    func start()

    // MARK: Identity

    /// Says which incarnation of the store this is. A store that was never seen is given `freshID` and the epoch `knownEpoch + 1`;
    /// one that restarted since (another run id), or whose epoch is below `knownEpoch` (an older copy was restored), keeps its id and
    /// its epoch grows above both. Atomic: all nodes get the same answer.
    ///
    /// - Parameter knownEpoch: the highest epoch that this node or its peers have ever seen for this region, 0 for none.
    func attach(freshID: String, knownEpoch: UInt64) -> EventLoopFuture<StoreIdentity>

    /// The next boot of a node: greater than every boot handed out before, and at least `wallClock`.
    func nextBoot(of node: NodeID, wallClock: WallMilliseconds) -> EventLoopFuture<Boot>

    // MARK: Roster and node leases

    func roster() -> EventLoopFuture<StoredRoster?>

    /// Compare-and-set. Answers the roster that stands afterwards: `proposed` if the stored version was `expected` (0: none is
    /// stored), else the one that was there.
    func changeRoster(expected: UInt64, to proposed: StoredRoster) -> EventLoopFuture<StoredRoster>

    /// `hg:lease:<region>/<node>` = boot, for `ttl`: tells readers of presence entries that their owner lives. Leaves the lease of a
    /// newer boot alone.
    func renewLease(of owner: NodeBoot, ttl: TimeSpan) -> EventLoopFuture<Void>

    /// Removes the lease if it is this boot's.
    func dropLease(of owner: NodeBoot) -> EventLoopFuture<Void>

    /// The boot that holds the node's lease, nil when it ran out.
    func lease(of node: NodeID) -> EventLoopFuture<Boot?>

    // MARK: The log of a room

    /// Creates the log of a room or takes it over, and writes the fence. Fails with `.fenced` when it was opened under a higher one.
    ///
    /// Starts a new epoch when `request.epoch` or `request.knownHead.epoch` is above the log's; when the log was last opened in another
    /// incarnation or run of the store; and when positions of its epoch are known that it does not hold. seq goes on above
    /// everything known, so no position ever names two messages.
    func open(_ room: String, _ request: OpenLog) -> EventLoopFuture<OpenedLog>

    /// Appends a batch in order, atomically: fence check, de-duplication by (user, key), next seq, stream, trim by `retention`. A 64th
    /// more than that may stay, and at most 64 + 2 × the batch's messages are trimmed in one call.
    /// Fails with `.fenced` (another fence stands) or `.notOpen` (no fence stands, or one of an earlier run of the store: what it
    /// holds may be old) or `.outOfOrder` (the batch named by `behind` was not appended), and then appended nothing. Batches are appended
    /// and answered in the order of the calls.
    func append(_ room: String, _ request: AppendBatch) -> EventLoopFuture<[AppendOutcome]>

    /// Removes what the log keeps beyond `retention`, at most `most` messages. True if it is within its limits now.
    func trim(_ room: String, _ retention: Retention, most: Int) -> EventLoopFuture<Bool>

    /// Kept messages after (exclusive) and before (exclusive) the given positions, oldest first. With `newest`, the last
    /// `limit` of that range, still oldest first.
    func read(_ room: String, after: Position?, before: Position?, limit: Int, newest: Bool) -> EventLoopFuture<[StoredMessage]>

    /// Head of the log as stored, nil for a room that has none.
    func head(of room: String) -> EventLoopFuture<Position?>

    /// The epochs of a log, oldest first, at most `StoredEpoch.keptMax`: which seqs each of them holds, trimmed ones included.
    func epochs(of room: String) -> EventLoopFuture<[StoredEpoch]>

    // MARK: Deletion

    /// Deletes the room's log, its keys, its receipts and the mirrors of its members and typists. Positions are never handed out again:
    /// the log goes on in a new epoch, seq where it was. Repeatable.
    ///
    /// - Returns: the last position that was handed out; nil if the room has no log.
    func deleteRoom(_ room: String) -> EventLoopFuture<Position?>

    /// What `deleteRoom` answered last, nil if the room has no log or was never deleted. It outlives the messages.
    func deletedUpTo(of room: String) -> EventLoopFuture<Position?>

    /// As `deleteRoom` for the user's inbox, and with it her last-seen time, where to push to her, and the list of her rooms.
    func deleteUser(_ user: String) -> EventLoopFuture<Position?>

    /// Removes what one user has confirmed in a room.
    func deleteReceipts(of room: String, user: String) -> EventLoopFuture<Void>

    /// Remembers that the user has something of hers in `room`, so that it is found when she is deleted. False, and nothing
    /// remembered, when she has `most` rooms already.
    func noteRoom(_ room: String, of user: String, most: Int) -> EventLoopFuture<Bool>

    /// The rooms noted for the user whose names come after `after`, in the order of their bytes, at most `limit`.
    func rooms(of user: String, after: String, limit: Int) -> EventLoopFuture<[String]>

    // MARK: Presence and typing: mirrors for readers and cold starts, never the truth of liveness

    /// Applies changes to `hg:members:{T}:<room>`: removals first.
    func mirrorMembers(of room: String, removed: [MemberKey], upserted: [StoredMember]) -> EventLoopFuture<Void>

    /// Replaces all entries of the room.
    func replaceMembers(of room: String, with members: [StoredMember]) -> EventLoopFuture<Void>
    func members(of room: String) -> EventLoopFuture<[StoredMember]>

    /// Of a room that is too large for an entry per session: replaces its entries, and earlier counts, by one count of sessions for each
    /// owner (`hg:counts:{T}:<room>`). `replaceMembers` replaces the counts by entries again.
    func replaceMembers(of room: String, withCounts counts: [NodeBoot: Int]) -> EventLoopFuture<Void>
    func memberCounts(of room: String) -> EventLoopFuture<[NodeBoot: Int]>

    /// Sets (or, with a nil expiry, removes) a typing user; the key itself expires with its last entry.
    func mirrorTyping(in room: String, user: String, expiresAt: WallMilliseconds?) -> EventLoopFuture<Void>

    /// Who types, and until when. Entries that expired are left out.
    func typing(in room: String) -> EventLoopFuture<[String: WallMilliseconds]>

    /// Moves last-seen forward; an earlier time than the stored one changes nothing.
    func setLastSeen(of user: String, at: WallMilliseconds) -> EventLoopFuture<Void>
    func lastSeen(of user: String) -> EventLoopFuture<WallMilliseconds?>

    // MARK: Receipts

    /// Everything that was confirmed in a room.
    func receipts(of room: String) -> EventLoopFuture<[Receipt]>

    /// What one user has confirmed there, visibly or not; `.none` for nothing.
    func receipts(of room: String, user: String) -> EventLoopFuture<ReceiptPositions>

    /// Moves positions forward, each by itself; a position behind the stored one changes nothing.
    func mergeReceipts(of room: String, _ receipts: [Receipt]) -> EventLoopFuture<Void>

    // MARK: Offline delivery

    /// Notes, before messages are appended to an inbox, that they may be owed a notification. A note that stands already stays: it speaks
    /// of older messages.
    func markPush(_ mark: PushMark) -> EventLoopFuture<Void>

    /// Notes that have stood for at least `age`, oldest first: whoever made them did not come to queue what is owed.
    func overduePushMarks(age: TimeSpan, limit: Int) -> EventLoopFuture<[PushMark]>

    /// Queues notifications for every service of the batch and takes its note back, atomically. An id that is queued already is left as
    /// it is. Answers how many were refused because a queue was full.
    func queuePushes(_ batch: PushBatch) -> EventLoopFuture<Int>

    /// Lends at most `limit` notifications that are due to the caller. What he does not settle within `lease` is due again.
    func claimPushes(for service: String, limit: Int, lease: TimeSpan) -> EventLoopFuture<[ClaimedPush]>
    func settlePushes(for service: String, _ settled: [SettledPush]) -> EventLoopFuture<Void>
    func pushQueue(of service: String) -> EventLoopFuture<PushQueueState>

    /// Removes what is queued for a user, that is, all ids `<user>/<epoch>-<seq>/<reason>`, and her note. What is on loan is not claimed
    /// again. Not one step: what is queued meanwhile may stay.
    func forgetPushes(of user: String, services: [String]) -> EventLoopFuture<Void>

    /// False, and nothing kept, if the user has `most` other devices.
    func setPushDevice(_ device: String, of user: String, to value: StoredPushDevice, most: Int) -> EventLoopFuture<Bool>

    /// Forgets a device; with a token only if it still has that one.
    func removePushDevice(_ device: String, of user: String, token: String?) -> EventLoopFuture<Void>
    func pushDevices(of user: String) -> EventLoopFuture<[String: StoredPushDevice]>

    /// Ends the connection. Calls in flight fail with `.unavailable`. Idempotent.
    func close() -> EventLoopFuture<Void>
}

public enum StoreState: Hashable, Sendable {
    case up
    /// With the reason, for `/readyz` and the log.
    case down(String)
}

public enum StoreError: Error, Hashable, Sendable {
    /// Not connected, answered too late, full queue, or an error reply such as LOADING, READONLY, OOM: one state, "degraded".
    case unavailable(String)
    /// A higher fence stands.
    case fenced(Fence)
    /// The log has no fence: it was never opened, or the store lost it.
    case notOpen
    /// The batch that this one was sent behind has not been appended.
    case outOfOrder
    /// The store and this version do not understand each other: an answer that cannot be read, or a number above 2^53 − 1,
    /// which the scripts cannot hold.
    case unexpectedReply(String)
}

public struct StoreIdentity: Hashable, Sendable {
    public var incarnation: String
    public var epoch: UInt64
    public init(incarnation: String, epoch: UInt64) {
        self.incarnation = incarnation
        self.epoch = epoch
    }
}

/// The live nodes of a region.
public struct StoredRoster: Hashable, Sendable {
    public var version: UInt64
    public var nodes: [NodeID]
    public init(version: UInt64, nodes: [NodeID]) {
        self.version = version
        self.nodes = nodes
    }
}

public struct OpenLog: Hashable, Sendable {
    public var fence: Fence
    public var incarnation: String
    /// The epoch that the log must have at least.
    public var epoch: UInt64
    /// The highest position that the root knows to have been handed out; seq goes on above it.
    public var knownHead: Position

    public init(fence: Fence, incarnation: String, epoch: UInt64, knownHead: Position) {
        self.fence = fence
        self.incarnation = incarnation
        self.epoch = epoch
        self.knownHead = knownHead
    }
}

public struct OpenedLog: Hashable, Sendable {
    /// The epoch in which the next message is appended.
    public var epoch: UInt64
    /// The last position handed out, in this epoch or an older one. `.zero` for a new log.
    public var head: Position
    /// `at` of the last message, 0 for none.
    public var lastAt: WallMilliseconds

    public init(epoch: UInt64, head: Position, lastAt: WallMilliseconds) {
        self.epoch = epoch
        self.head = head
        self.lastAt = lastAt
    }
}

/// One row of a log's epoch table. seq goes on across epochs, so `first` is one above the last seq of the epoch before,
/// or higher when something was lost.
public struct StoredEpoch: Hashable, Sendable {
    /// Rows kept per log; past it the oldest is forgotten, and a resume from it is a gap.
    public static let keptMax = 1_000

    public var epoch: UInt64
    public var first: UInt64
    /// Nil while the epoch is open. `first - 1` when nothing was appended in it.
    public var last: UInt64?

    public init(epoch: UInt64, first: UInt64, last: UInt64?) {
        self.epoch = epoch
        self.first = first
        self.last = last
    }
}

public struct AppendBatch: Sendable {
    public var fence: Fence
    public var messages: [Entry]
    public var retention: Retention
    /// Different from those of all other tries to append to the room.
    public var name: String
    /// The name of a batch whose outcome is not known yet: this one is refused with `outOfOrder` unless that was appended right before.
    public var behind: String?

    public init(fence: Fence, messages: [Entry], retention: Retention, name: String, behind: String? = nil) {
        self.fence = fence
        self.messages = messages
        self.retention = retention
        self.name = name
        self.behind = behind
    }

    public struct Entry: Sendable {
        public var user: String
        public var key: String
        /// Set by the root, never decreasing in a room.
        public var at: WallMilliseconds
        /// The encoded message without its position, which the store does not look into.
        public var body: ByteBuffer

        public init(user: String, key: String, at: WallMilliseconds, body: ByteBuffer) {
            self.user = user
            self.key = key
            self.at = at
            self.body = body
        }
    }
}

public struct Retention: Hashable, Sendable {
    /// Messages kept in a room's log.
    public var messagesMax: Int
    /// How long a message is kept after its `at`, nil for ever. A log that nothing was appended to for as long goes as a whole.
    public var ageMax: TimeSpan?
    /// Bytes of the bodies kept; the newest one stays whatever its size.
    public var bytesMax: Int
    /// How long a key is remembered after its message.
    public var dedupWindow: TimeSpan
    /// Keys remembered per room. At the bound a publish with a new key is refused; a live key is never evicted.
    public var keysMax: Int

    public init(
        messagesMax: Int = 10_000, ageMax: TimeSpan? = nil, bytesMax: Int = 64 << 20, dedupWindow: TimeSpan = .seconds(300),
        keysMax: Int = 100_000
    ) {
        self.messagesMax = messagesMax
        self.ageMax = ageMax
        self.bytesMax = bytesMax
        self.dedupWindow = dedupWindow
        self.keysMax = keysMax
    }
}

public enum AppendOutcome: Hashable, Sendable {
    case appended(Position)
    /// The key was there: position and time of the first message that carried it.
    case duplicate(Position, at: WallMilliseconds)
    /// `Retention.keysMax` reached.
    case keysFull
}

public struct StoredMessage: Hashable, Sendable {
    public var position: Position
    public var body: ByteBuffer
    public init(position: Position, body: ByteBuffer) {
        self.position = position
        self.body = body
    }
}

/// Which session an entry speaks of: its node's run and the session's number there.
public struct MemberKey: Hashable, Sendable {
    public var owner: NodeBoot
    public var session: UInt64
    public init(owner: NodeBoot, session: UInt64) {
        self.owner = owner
        self.session = session
    }
}

public struct StoredMember: Hashable, Sendable {
    public var key: MemberKey
    public var user: String
    public var device: String
    public var status: Status
    public var note: String
    /// The session's, kept over takeovers; 0 for none.
    public var identity: UInt64
    /// Grows with each takeover.
    public var taken: UInt64

    public init(
        key: MemberKey, user: String, device: String, status: Status, note: String, identity: UInt64 = 0, taken: UInt64 = 0
    ) {
        self.identity = identity
        self.taken = taken
        self.key = key
        self.user = user
        self.device = device
        self.status = status
        self.note = note
    }
}

/// Bounds of a store, each with its action.
public struct StoreLimits: Sendable {
    /// From call to answer. Past it the connection is closed, since answers come in order, and all calls in flight fail.
    public var deadline: TimeSpan
    /// A connection that was silent for this long is asked whether it lives.
    public var heartbeat: TimeSpan
    /// Past these two a call fails at once.
    public var commandsInFlightMax: Int
    public var bytesInFlightMax: Int
    /// Past it the connection is closed.
    public var replyBytesMax: Int

    public init(
        deadline: TimeSpan = .seconds(2), heartbeat: TimeSpan = .seconds(1), commandsInFlightMax: Int = 10_000,
        bytesInFlightMax: Int = 32 << 20, replyBytesMax: Int = 80 << 20
    ) {
        self.deadline = deadline
        self.heartbeat = heartbeat
        self.commandsInFlightMax = commandsInFlightMax
        self.bytesInFlightMax = bytesInFlightMax
        self.replyBytesMax = replyBytesMax
    }
}

/// What a store measured since it was made. Read on its loop.
public struct StoreFigures: Sendable {
    public var commands: UInt64 = 0
    /// Commands refused, lost with their connection, or answered with an error.
    public var failures: UInt64 = 0
    /// Connections made after the first.
    public var reconnects: UInt64 = 0
    /// Calls refused because `commandsInFlightMax` or `bytesInFlightMax` was reached; also among `failures`.
    public var refusedByBounds: UInt64 = 0
    /// Round trips of commands that were answered. Empty for the embedded store.
    public var latency = LatencyHistogram()
    public init() {}
}
