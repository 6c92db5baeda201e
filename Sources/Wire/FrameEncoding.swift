public import NIOCore

/// How the frames of a session look on the wire.
public enum FrameEncoding: Hashable, Sendable, CaseIterable {
    /// Text: JSON objects separated by `\n`.
    case json
    /// Binary: varint-length-delimited protobuf messages.
    case protobuf
    /// gRPC's length-prefixed messages: a byte that says whether it is compressed, four of length, a protobuf message.
    case grpc

    /// What a WebSocket may carry.
    public static let webSocket: [FrameEncoding] = [.json, .protobuf]

    /// The WebSocket subprotocol; nil for what has none.
    public var subprotocol: String? {
        switch self {
        case .json: "heliograph.v1.json"
        case .protobuf: "heliograph.v1.proto"
        case .grpc: nil
        }
    }

    public init?(subprotocol: some StringProtocol) {
        guard let match = Self.webSocket.first(where: { $0.subprotocol.map { $0 == subprotocol } ?? false }) else { return nil }
        self = match
    }

    public var opcode: WebSocketOpcode { self == .json ? .text : .binary }

    /// What stands between two frames: those of the binary encodings delimit themselves.
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
