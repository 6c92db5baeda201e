/// Why a peer's frames are refused: the close code to answer with (RFC 6455, section 7.4.1) and a reason for people.
public struct WebSocketViolation: Error, Hashable, Sendable, CustomStringConvertible {
    public let code: UInt16
    private let text: StaticString

    private init(_ code: UInt16, _ text: StaticString) {
        self.code = code
        self.text = text
    }

    public var reason: String { text.description }
    public var description: String { "\(code) \(text)" }

    public static func == (a: Self, b: Self) -> Bool { a.code == b.code && a.reason == b.reason }
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }

    public static let reservedBits = Self(1002, "reserved bits set")
    public static let reservedOpcode = Self(1002, "reserved opcode")
    public static let unmaskedByClient = Self(1002, "client frame not masked")
    public static let maskedByServer = Self(1002, "server frame masked")
    public static let fragmentedControl = Self(1002, "control frame fragmented")
    public static let controlTooLong = Self(1002, "control frame longer than 125 bytes")
    public static let lengthNotMinimal = Self(1002, "length not in its shortest form")
    public static let strayContinuation = Self(1002, "continuation without a message")
    public static let messageInsideMessage = Self(1002, "message inside a fragmented message")
    public static let invalidCloseCode = Self(1002, "invalid close code")
    public static let unexpectedType = Self(1003, "message type does not fit the subprotocol")
    public static let invalidText = Self(1007, "text is not UTF-8")
    public static let invalidCompression = Self(1007, "compressed message is not deflate")
    public static let invalidCloseReason = Self(1007, "close reason is not UTF-8")
    public static let messageTooLarge = Self(1009, "message too large")
    public static let tooManyEmptyFragments = Self(1009, "too many empty fragments")
}
