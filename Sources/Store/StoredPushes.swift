import MeshCore
import NIOCore

/// A note that messages of a user's inbox after a position may be owed a notification that is not queued yet.
public struct PushMark: Hashable, Sendable {
    public var user: String
    public var after: Position

    public init(user: String, after: Position) {
        self.user = user
        self.after = after
    }
}

/// Notifications to be queued in one step, for each of the services.
public struct PushBatch: Sendable {
    public struct Entry: Hashable, Sendable {
        /// The same for the same notification, whoever queues it.
        public var id: String
        /// What is to be told. The store does not look into it; not empty.
        public var body: ByteBuffer

        public init(id: String, body: ByteBuffer) {
            self.id = id
            self.body = body
        }
    }

    public var entries: [Entry]
    public var services: [String]
    /// Notifications that the queue of a service holds at most. At the bound the newest are refused.
    public var most: Int
    /// The note that this makes good.
    public var settles: PushMark?

    public init(entries: [Entry], services: [String], most: Int, settles: PushMark?) {
        self.entries = entries
        self.services = services
        self.most = most
        self.settles = settles
    }
}

/// A notification on loan to a worker.
public struct ClaimedPush: Hashable, Sendable {
    public var id: String
    /// How often it was claimed, this time included.
    public var claim: Int
    /// Since it was queued.
    public var age: TimeSpan
    public var body: ByteBuffer

    public init(id: String, claim: Int, age: TimeSpan, body: ByteBuffer) {
        self.id = id
        self.claim = claim
        self.age = age
        self.body = body
    }
}

/// What became of a claimed notification.
public struct SettledPush: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// It is over, for good or for bad.
        case over
        /// To be claimed again after `delay`, unless somebody else has claimed it since; with another body if there is one.
        case later(delay: TimeSpan, body: ByteBuffer?)
    }

    public var id: String
    public var claim: Int
    public var outcome: Outcome

    public init(id: String, claim: Int, outcome: Outcome) {
        self.id = id
        self.claim = claim
        self.outcome = outcome
    }
}

/// What waits for one service.
public struct PushQueueState: Hashable, Sendable {
    public var count: Int
    /// Zero for an empty queue.
    public var oldestAge: TimeSpan

    public init(count: Int, oldestAge: TimeSpan) {
        self.count = count
        self.oldestAge = oldestAge
    }
}

/// Where notifications for one device of a user go.
public struct StoredPushDevice: Hashable, Sendable, Codable {
    public var service: String
    /// The service's own name for the device.
    public var token: String
    public var updatedAt: WallMilliseconds

    public init(service: String, token: String, updatedAt: WallMilliseconds) {
        self.service = service
        self.token = token
        self.updatedAt = updatedAt
    }
}
