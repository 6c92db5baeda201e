import MeshCore

/// Whom a region tells of messages for users without a session: the section `push` of its file. Without it nothing is queued.
public struct PushConfiguration: Hashable, Sendable {
    /// An HTTP server of the application's own.
    public struct Webhook: Hashable, Sendable {
        public var address: WebAddress
        /// The secret that requests are signed with.
        public var secretFile: String
        /// PEM; nil for the authorities of the system.
        public var trustFile: String?
    }

    /// Apple's push service.
    public struct APNs: Hashable, Sendable {
        public static let host = "https://api.push.apple.com"

        public var address: WebAddress
        /// The `.p8` file.
        public var keyFile: String
        public var keyID: String
        public var teamID: String
        /// The application's bundle id.
        public var topic: String
        public var trustFile: String?
    }

    /// Firebase Cloud Messaging.
    public struct FCM: Hashable, Sendable {
        public static let host = "https://fcm.googleapis.com"

        public var address: WebAddress
        /// The service account's JSON file.
        public var serviceAccountFile: String
        public var trustFile: String?
    }

    public var webhook: Webhook?
    public var apns: APNs?
    public var fcm: FCM?
    public var limits: PushLimits

    public init(webhook: Webhook? = nil, apns: APNs? = nil, fcm: FCM? = nil, limits: PushLimits = .init()) {
        self.webhook = webhook
        self.apns = apns
        self.fcm = fcm
        self.limits = limits
    }
}

/// Bounds and periods of the queues of notifications.
public struct PushLimits: Hashable, Sendable {
    /// Notifications that wait for one service. At the bound the newest are refused.
    public var queueMax = 100_000
    /// Tries after which a notification is given up.
    public var triesMax = 100
    /// Age at which a notification is given up.
    public var ageMax = TimeSpan.seconds(6 * 3_600)
    /// The first wait between two tries; it doubles up to `retryMost`.
    public var retryLeast = TimeSpan.seconds(1)
    public var retryMost = TimeSpan.seconds(300)
    /// From a request to the last byte of its answer.
    public var deadline = TimeSpan.seconds(10)
    /// How long a node may hold what it has claimed. After it others take it.
    public var lease = TimeSpan.seconds(60)
    /// Bytes of a message's text in a notification.
    public var previewBytesMax = 240

    public init() {}
}
