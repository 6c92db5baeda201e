import MeshCore

/// Whom notifications are handed to. The raw value is the label of metrics and stands in keys of the store.
public enum PushService: String, Hashable, Sendable, CaseIterable {
    case webhook, apns, fcm

    /// Whether it is told for which device a notification is.
    public var needsDevice: Bool { self != .webhook }
}

/// A device of a user, as a service knows it.
public struct PushDevice: Hashable, Sendable {
    public var name: String
    public var token: String

    public init(name: String, token: String) {
        self.name = name
        self.token = token
    }
}

/// One notification for one receiver.
public struct PushDelivery: Hashable, Sendable {
    public var notification: PushNotification
    /// Nil for a service that needs none.
    public var device: PushDevice?

    public init(_ notification: PushNotification, device: PushDevice? = nil) {
        self.notification = notification
        self.device = device
    }
}

/// What a service made of a delivery.
public enum PushOutcome: Hashable, Sendable {
    case done
    /// It cannot be had now. `after` is what the service asked for.
    case retry(after: TimeSpan?, reason: String)
    /// The receiver refused it in a way that may be its own mistake: tried again a few times.
    case refused(reason: String)
    /// The device's token is not good any more.
    case gone
    /// It will never be taken.
    case rejected(reason: String)
}

/// Hands notifications to one service.
public protocol PushSender: Sendable {
    var service: PushService { get }

    /// - Returns: what became of each, in their order. Comes within the sender's deadline, and never fails as a whole.
    func send(_ deliveries: [PushDelivery]) async -> [PushOutcome]
}
