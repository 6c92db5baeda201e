import NIOCore
import Wire

/// Frames collected in one contiguous buffer: several messages share a WebSocket frame, whose header is filled in when it is sealed.
public struct FrameBatch {
    /// A WebSocket frame is closed and a new one begun past this payload, so that no receiver has to buffer more than about this
    /// much, plus one message, before it can work.
    static let framePayloadGoal = 256 << 10

    private var buffer = ByteBuffer()
    private var openFrame = -1

    public init() {}

    public var isEmpty: Bool { buffer.readableBytes == 0 }
    public var bytes: Int { buffer.readableBytes }

    /// Appends one encoded message, written by `write` in the format's encoding without separators.
    public mutating func append(_ encoding: FrameEncoding, _ write: (inout ByteBuffer) -> Void) {
        if openFrame < 0 {
            openFrame = WebSocketBatch.reserveHeader(in: &buffer)
        } else {
            encoding.appendSeparator(to: &buffer)
        }
        write(&buffer)
        if buffer.writerIndex - openFrame > Self.framePayloadGoal { seal(encoding) }
    }

    /// Appends whole frames made elsewhere.
    public mutating func append(frames: UnsafeRawBufferPointer, _ encoding: FrameEncoding) {
        seal(encoding)
        buffer.writeBytes(frames)
    }

    /// Appends a frame that is not a message: ping, pong, close.
    public mutating func appendControl(_ encoding: FrameEncoding, _ write: (inout ByteBuffer) -> Void) {
        seal(encoding)
        write(&buffer)
    }

    public mutating func seal(_ encoding: FrameEncoding) {
        guard openFrame >= 0 else { return }
        WebSocketBatch.sealFrame(in: &buffer, start: openFrame, opcode: encoding.opcode)
        openFrame = -1
    }

    /// The sealed frames.
    public func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { buffer.withUnsafeReadableBytes(body) }

    /// Takes everything out. Keeps no storage: an idle session costs no buffer.
    public mutating func take(_ encoding: FrameEncoding) -> ByteBuffer {
        seal(encoding)
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// Forgets everything but keeps the storage, for a batch that is filled again every tick.
    public mutating func clear() {
        buffer.clear()
        openFrame = -1
    }
}
