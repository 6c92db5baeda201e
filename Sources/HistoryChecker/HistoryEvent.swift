import MeshCore

/// What a client did or was told, as it stood on the wire. Clients are named by their users: one client is one reader and one publisher.
public enum HistoryEvent: Hashable, Sendable {
    /// A durable publish was sent, for the first time or again: the same key says that it is the same message.
    case published(client: String, room: String, key: String, text: String)
    case acknowledged(client: String, room: String, key: String, position: Position, duplicate: Bool)
    /// The relay answered with an error. Whether the message was appended is not known.
    case refused(client: String, room: String, key: String, code: String)
    /// The relay has said where it begins: in `subscribed`, or for one room in `welcome`.
    case subscribed(client: String, room: String, Subscription)
    case saw(client: String, room: String, SeenMessage)
    /// The relay said that positions are lost, both ends included.
    case gap(client: String, room: String, from: Position, to: Position)
    /// The client no longer wants the room.
    case left(client: String, room: String)
    /// A transport with a session. What the one before still held is ignored from here on.
    case connected(client: String, session: String, node: String)
    case disconnected(client: String, reason: String)
    /// A fault that somebody made on purpose, or its end.
    case disrupted(String)
    case mended(String)

    var client: String? {
        switch self {
        case .published(let client, _, _, _), .acknowledged(let client, _, _, _, _), .refused(let client, _, _, _),
            .subscribed(let client, _, _), .saw(let client, _, _), .gap(let client, _, _, _), .left(let client, _),
            .connected(let client, _, _), .disconnected(let client, _):
            client
        case .disrupted, .mended: nil
        }
    }

    /// Nil for what is about all rooms of a client.
    var room: String? {
        switch self {
        case .published(_, let room, _, _), .acknowledged(_, let room, _, _, _), .refused(_, let room, _, _),
            .subscribed(_, let room, _), .saw(_, let room, _), .gap(_, let room, _, _), .left(_, let room):
            room
        case .connected, .disconnected, .disrupted, .mended: nil
        }
    }
}

/// How a client's reading of a room begins or goes on.
public struct Subscription: Hashable, Sendable {
    public enum Start: Hashable, Sendable {
        /// With what comes after the head.
        case live
        /// Behind this position; `zero` is the oldest that is kept.
        case position(Position)
        /// With the last messages, at most this many.
        case last(Int)
    }

    public var start: Start
    /// Whether nothing is missing at the beginning. False comes with a gap.
    public var recovered: Bool
    public var head: Position

    /// Something is missing at the beginning of what was asked for. Who asks for nothing old misses nothing.
    public var isShort: Bool { !recovered && start != .live }

    public init(_ start: Start, recovered: Bool = true, head: Position) {
        self.start = start
        self.recovered = recovered
        self.head = head
    }
}

/// A durable message as a reader got it.
public struct SeenMessage: Hashable, Sendable, CustomStringConvertible {
    public var position: Position
    public var from: String
    public var key: String
    public var text: String
    /// Milliseconds since 1970, set by the home.
    public var at: WallMilliseconds

    public init(_ position: Position, from: String, key: String, text: String, at: WallMilliseconds) {
        self.position = position
        self.from = from
        self.key = key
        self.text = text
        self.at = at
    }

    public var description: String { "\(position) \(key) of \(from)" }
}
