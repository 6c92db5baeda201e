/// A way to come to a session, by the name that `bench connect` has for it: a door, and what is there already.
public enum ConnectRoute: Hashable, Sendable {
    /// A new connection, and with TLS a full handshake.
    case door(BenchmarkDoor)
    /// A new connection that goes on with an earlier TLS session (RFC 8446, section 2.2).
    case resumed(BenchmarkDoor)
    /// A new stream of a connection that is open.
    case stream(BenchmarkDoor)

    private static let resumedSuffix = "-resumed"
    private static let streamSuffix = "-stream"

    /// Nil for what cannot be: a cleartext connection resumes nothing, and a WebSocket over HTTP/1.1 has no streams.
    public init?(name: String) {
        if let door = BenchmarkDoor(rawValue: name) {
            self = .door(door)
        } else if let door = Self.door(name, Self.resumedSuffix), door.isEncrypted {
            self = .resumed(door)
        } else if let door = Self.door(name, Self.streamSuffix), door.isMultiplexed {
            self = .stream(door)
        } else {
            return nil
        }
    }

    private static func door(_ name: String, _ suffix: String) -> BenchmarkDoor? {
        name.hasSuffix(suffix) ? BenchmarkDoor(rawValue: String(name.dropLast(suffix.count))) : nil
    }

    public var name: String {
        switch self {
        case .door(let door): door.rawValue
        case .resumed(let door): door.rawValue + Self.resumedSuffix
        case .stream(let door): door.rawValue + Self.streamSuffix
        }
    }

    var door: BenchmarkDoor {
        switch self {
        case .door(let door), .resumed(let door), .stream(let door): door
        }
    }
}
