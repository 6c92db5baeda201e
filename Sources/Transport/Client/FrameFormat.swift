import NIOCore
import Wire

/// How the frames of a session look on the wire. A batch that is shared by the recipients of a room is made once per format.
public enum FrameFormat: UInt8, CaseIterable, Sendable {
    /// WebSocket text frames of JSON objects separated by line feeds.
    case webSocketJSON = 0
    /// WebSocket binary frames of varint-length-delimited protobuf messages.
    case webSocketProtobuf = 1

    public var opcode: WebSocketOpcode {
        switch self {
        case .webSocketJSON: .text
        case .webSocketProtobuf: .binary
        }
    }

    /// A WebSocket frame is closed and a new one begun past this payload, so that no receiver has to buffer more than about this
    /// much, plus one message, before it can work.
    static let framePayloadGoal = 256 << 10
}

/// Frames collected in one contiguous buffer: several messages share a WebSocket frame, whose header is filled in when it is sealed.
public struct FrameBatch {
    public private(set) var buffer = ByteBuffer()
    private var openFrame = -1

    public init() {}

    public var isEmpty: Bool { buffer.readableBytes == 0 }
    public var bytes: Int { buffer.readableBytes }

    /// Appends one encoded message, written by `write` in the format's encoding without separators.
    public mutating func append(_ format: FrameFormat, _ write: (inout ByteBuffer) -> Void) {
        if openFrame < 0 {
            openFrame = WebSocketBatch.reserveHeader(in: &buffer)
        } else if format == .webSocketJSON {
            buffer.writeInteger(UInt8(ascii: "\n"))
        }
        write(&buffer)
        if buffer.writerIndex - openFrame > FrameFormat.framePayloadGoal { seal(format) }
    }

    /// Appends whole frames made elsewhere.
    public mutating func append(frames: UnsafeRawBufferPointer, _ format: FrameFormat) {
        seal(format)
        buffer.writeBytes(frames)
    }

    /// Appends a frame that is not a message: ping, pong, close.
    public mutating func appendControl(_ format: FrameFormat, _ write: (inout ByteBuffer) -> Void) {
        seal(format)
        write(&buffer)
    }

    public mutating func seal(_ format: FrameFormat) {
        guard openFrame >= 0 else { return }
        WebSocketBatch.sealFrame(in: &buffer, start: openFrame, opcode: format.opcode)
        openFrame = -1
    }

    /// Takes everything out. Keeps no storage: an idle session costs no buffer.
    public mutating func take(_ format: FrameFormat) -> ByteBuffer {
        seal(format)
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// Forgets everything but keeps the storage, for a batch that is filled again every tick.
    public mutating func clear() {
        buffer.clear()
        openFrame = -1
    }
}
