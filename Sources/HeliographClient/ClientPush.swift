public import MeshCore
public import Wire

/// What a relay says unasked, and what the client says of its connection.
public enum ClientPush: Sendable {
    case message(RelayMessage)
    case roomPresence(RelayRoomPresence)
    case userPresence(RelayUserPresence)
    case typing(RelayTypingChanged)
    case receipt(RelayReceiptChanged)
    /// Positions that are lost, both ends inclusive: the application reads its own source again.
    case gap(RelayGap)
    /// A room goes on after a reconnect, behind the reconnection's welcome: its members, typing and head may have changed unseen. What was
    /// missed follows, message by message.
    case subscribed(RelaySubscribed)
    /// By the relay, also at a reconnect. The room is left until it is subscribed again.
    case unsubscribed(RelayUnsubscribed)
    /// The connection is gone; the next attempt comes after this wait.
    case disconnected(DisconnectCause, retryAfter: TimeSpan)
    /// `resumed` names the rooms that go on at once.
    case reconnected(RelayWelcome)
}

/// How a client connects and how long it waits.
public struct ClientOptions: Sendable {
    public var transport = ClientTransport.webSocket()
    /// For URLs that begin with `wss:` or `https:`.
    public var tls = ClientTLSOptions()
    /// Stable per installation; the relay draws one if absent.
    public var device: String?
    public var status = RelayStatus.online
    /// 5 to 60; the relay's default if absent.
    public var heartbeatSeconds: UInt32?
    /// For TCP, TLS and the opening of the transport together, and again for the hello.
    public var connectTimeout = TimeSpan.seconds(10)
    public var requestTimeout = TimeSpan.seconds(30)
    /// Whether a durable publish that the relay cannot take just now is repeated by the client, with its key and not before the wait that
    /// the relay asks for, until `requestTimeout`; otherwise the refusal is thrown at once.
    public var retriesPublishes = true
    /// How many pushes may wait in `pushes`; one more closes the client with `pushesOverflowed`.
    public var pushesMax = 8192
    /// Nil: do not come back by itself.
    public var reconnect: ReconnectPolicy.Settings? = ReconnectPolicy.Settings()

    public init() {}
}
