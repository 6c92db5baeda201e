public import NIOCore

/// How the frames of a session look on the wire, agreed as the WebSocket subprotocol.
public enum FrameEncoding: Hashable, Sendable, CaseIterable {
    /// Text: JSON objects separated by `\n`.
    case json
    /// Binary: varint-length-delimited protobuf messages.
    case protobuf

    /// Its place in a table that has one entry for each encoding.
    public var index: Int {
        switch self {
        case .json: 0
        case .protobuf: 1
        }
    }

    public var subprotocol: String {
        switch self {
        case .json: "heliograph.v1.json"
        case .protobuf: "heliograph.v1.proto"
        }
    }

    public init?(subprotocol: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.subprotocol == subprotocol }) else { return nil }
        self = match
    }

    public var opcode: WebSocketOpcode {
        switch self {
        case .json: .text
        case .protobuf: .binary
        }
    }

    /// What stands between two frames of one WebSocket message: protobuf frames delimit themselves.
    public func appendSeparator(to buffer: inout ByteBuffer) {
        if self == .json { buffer.writeInteger(UInt8(ascii: "\n")) }
    }
}

/// Why the payload of a message is not a list of frames.
public enum FrameFault: Error, Hashable, Sendable {
    /// Not JSON, not protobuf, or not of our schema (two frames in one object, a string for a number, ...).
    case malformed
    /// Well-formed, but without a frame that this side knows.
    case noFrame
    /// A frame above the limit.
    case tooLarge
}
