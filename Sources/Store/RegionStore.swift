import MeshCore
import NIOCore

/// What a region keeps in its store: logs, presence, typing, receipts, leases, the roster. Two stores implement it,
/// `EmbeddedStore` and `RedisStore`, and one conformance suite holds both to this page.
///
/// A store belongs to one event loop (a cell): it is called on that loop and its futures complete there, in the order in
/// which the calls were made. Every call either completes within `StoreLimits.deadline` or fails with `StoreError`. A failed
/// *write* may have happened: `append` is repeated by key, the mirrors are written anew when the store is back.
public protocol RegionStore: AnyObject {
    /// Whether calls have a chance now. Changes are announced through the observer given at construction.
    var state: StoreState { get }

    // MARK: Identity

    /// Says which incarnation of the store this is. A store that was never seen is given `freshID` and the epoch `knownEpoch + 1`;
    /// one that restarted since (another run id) keeps its id and its epoch grows by one. Atomic: all nodes get the same answer.
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

    /// `hg:lease:<node>` = boot, for `ttl`: tells readers of presence entries that their owner lives.
    func renewLease(of owner: NodeBoot, ttl: TimeSpan) -> EventLoopFuture<Void>
    func dropLease(of owner: NodeBoot) -> EventLoopFuture<Void>

    // MARK: The log of a room

    /// Creates the log of a room or takes it over, and writes the fence. Starts a new epoch when `request.epoch` is above the log's.
    /// Fails with `.fenced` when the log was opened under a higher fence.
    func open(_ room: String, _ request: OpenLog) -> EventLoopFuture<OpenedLog>

    /// Appends a batch in order, atomically: fence check, de-duplication by (user, key), next seq, stream, trim.
    /// Fails with `.fenced` (another fence stands) or `.notOpen` (no fence stands: the store lost the log), and then appended nothing.
    func append(_ room: String, _ request: AppendBatch) -> EventLoopFuture<[AppendOutcome]>

    /// Kept messages after (exclusive) and before (exclusive) the given positions, oldest first. With `newest`, the last
    /// `limit` of that range, still oldest first.
    func read(_ room: String, after: Position?, before: Position?, limit: Int, newest: Bool) -> EventLoopFuture<[StoredMessage]>

    /// Head of the log as stored, nil for a room that has none.
    func head(of room: String) -> EventLoopFuture<Position?>

    // MARK: Presence and typing: mirrors for readers and cold starts, never the truth of liveness

    /// Applies changes to `hg:members:{T}:<room>`: removals first.
    func mirrorMembers(of room: String, removed: [MemberKey], upserted: [StoredMember]) -> EventLoopFuture<Void>

    /// Replaces all entries of the room.
    func replaceMembers(of room: String, with members: [StoredMember]) -> EventLoopFuture<Void>
    func members(of room: String) -> EventLoopFuture<[StoredMember]>

    /// Sets (or, with a nil expiry, removes) a typing user; the key itself expires with its last entry.
    func mirrorTyping(in room: String, user: String, expiresAt: WallMilliseconds?) -> EventLoopFuture<Void>

    func setLastSeen(of user: String, at: WallMilliseconds) -> EventLoopFuture<Void>
    func lastSeen(of user: String) -> EventLoopFuture<WallMilliseconds?>

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
    /// The store answered something that this version does not understand.
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

public struct AppendBatch: Sendable {
    public var fence: Fence
    public var messages: [Entry]
    public var retention: Retention

    public init(fence: Fence, messages: [Entry], retention: Retention) {
        self.fence = fence
        self.messages = messages
        self.retention = retention
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
    /// How long a key is remembered after its message.
    public var dedupWindow: TimeSpan
    /// Keys remembered per room. At the bound a publish with a new key is refused; a live key is never evicted.
    public var keysMax: Int

    public init(messagesMax: Int = 10_000, dedupWindow: TimeSpan = .seconds(300), keysMax: Int = 100_000) {
        self.messagesMax = messagesMax
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

    public init(key: MemberKey, user: String, device: String, status: Status, note: String) {
        self.key = key
        self.user = user
        self.device = device
        self.status = status
        self.note = note
    }
}

/// Bounds of a store, each with its action: past `commandsInFlightMax` or `bytesInFlightMax` a call fails at once.
public struct StoreLimits: Sendable {
    public var deadline: TimeSpan
    public var commandsInFlightMax: Int
    public var bytesInFlightMax: Int
    public var replyBytesMax: Int

    public init(
        deadline: TimeSpan = .seconds(2), commandsInFlightMax: Int = 10_000, bytesInFlightMax: Int = 32 << 20, replyBytesMax: Int = 64 << 20
    ) {
        self.deadline = deadline
        self.commandsInFlightMax = commandsInFlightMax
        self.bytesInFlightMax = bytesInFlightMax
        self.replyBytesMax = replyBytesMax
    }
}

/// What a store measured since it was made. Read on its loop.
public struct StoreFigures: Sendable {
    public var commands: UInt64 = 0
    public var failures: UInt64 = 0
    public var reconnects: UInt64 = 0
    /// Counts of round trips by upper bound in seconds, as Prometheus wants them: not cumulative here.
    public var latency = LatencyHistogram()
    public init() {}
}
