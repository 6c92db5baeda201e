import DequeModule
import NIOCore
import Wire

/// Frames of one format collected in one contiguous buffer. On a WebSocket several of ours share one of its frames, whose header is filled in
/// when it is sealed.
public struct FrameBatch {
    /// A WebSocket frame is closed and a new one begun past this payload, so that no receiver has to buffer more than about this
    /// much, plus one message, before it can work.
    static let framePayloadGoal = 256 << 10
    private static let takenBytesKept = 64 << 10

    public let format: FrameFormat
    let deflater: WebSocketDeflater?
    private var buffer = ByteBuffer()
    /// Where the frame that is being filled begins.
    private var openFrame = -1
    /// Where each append ended, counted from the first byte ever, and how many bytes have been taken. Kept once bytes are taken piece by piece.
    private var ends = Deque<Int>()
    private var taken = 0
    /// Whether a part of what is now at the front has been taken.
    private var isCut = false

    /// - Parameter deflater: of the format's window; shared by all batches of a cell.
    public init(_ format: FrameFormat, deflater: WebSocketDeflater?) {
        self.format = format
        self.deflater = deflater
    }

    public var isEmpty: Bool { buffer.readableBytes == 0 }
    public var bytes: Int { buffer.readableBytes }
    /// Those before the frame that is being filled.
    var sealedBytes: Int { openFrame < 0 ? buffer.readableBytes : openFrame - buffer.readerIndex }

    /// Appends one encoded message, written by `write` in the format's encoding without separators.
    public mutating func append(_ write: (inout ByteBuffer) -> Void) {
        guard case .webSocket = format.framing else {
            write(&buffer)
            return format.encoding.appendSeparator(to: &buffer)
        }
        if openFrame < 0 {
            openFrame = WebSocketBatch.reserveHeader(in: &buffer)
        } else {
            format.encoding.appendSeparator(to: &buffer)
        }
        write(&buffer)
        if buffer.writerIndex - openFrame > Self.framePayloadGoal { seal() }
    }

    /// Appends whole frames made elsewhere.
    public mutating func append(frames: UnsafeRawBufferPointer) {
        seal()
        buffer.writeBytes(frames)
    }

    /// Appends the rest of frames whose beginning was sent past this batch, which is empty.
    mutating func append(rest frames: UnsafeRawBufferPointer) {
        append(frames: frames)
        isCut = true
        markEnd()
    }

    /// Appends a WebSocket frame that is not a message: ping, pong, close.
    mutating func appendControl(_ write: (inout ByteBuffer) -> Void) {
        seal()
        write(&buffer)
    }

    public mutating func seal() {
        guard openFrame >= 0 else { return }
        if let deflater {
            WebSocketBatch.sealCompressedFrame(in: &buffer, start: openFrame, opcode: format.encoding.opcode, deflater: deflater)
        } else {
            WebSocketBatch.sealFrame(in: &buffer, start: openFrame, opcode: format.encoding.opcode)
        }
        openFrame = -1
    }

    /// The sealed frames.
    public func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { buffer.withUnsafeReadableBytes(body) }

    /// Takes everything out. Keeps no storage: an idle session costs no buffer.
    mutating func take() -> ByteBuffer {
        seal()
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// Marks the end of what was appended so far as a place where `forget` may cut.
    mutating func markEnd() {
        seal()
        let end = taken + buffer.readableBytes
        if end > ends.last ?? taken { ends.append(end) }
    }

    /// Takes some of the sealed bytes.
    mutating func take(_ count: Int, into other: inout ByteBuffer) {
        buffer.withUnsafeReadableBytes { _ = other.writeBytes($0.prefix(count)) }
        buffer.moveReaderIndex(forwardBy: count)
        taken += count
        var isAtEnd = false
        while let end = ends.first, end <= taken {
            ends.removeFirst()
            isAtEnd = end == taken
        }
        isCut = (isCut || count > 0) && !isAtEnd
        if buffer.readableBytes == 0 { buffer = ByteBuffer() } else { discardTaken() }
    }

    /// An outbox that is never quite empty would keep all that ever went through it.
    private mutating func discardTaken() {
        let discarded = buffer.readerIndex
        guard discarded > max(Self.takenBytesKept, buffer.readableBytes) else { return }
        buffer.discardReadBytes()
        if openFrame >= 0 { openFrame -= discarded }
    }

    /// Forgets what waits, but for the rest of what was taken in part: the receiver would take the next frame for that.
    mutating func forget() {
        seal()
        let rest = isCut ? max(0, (ends.first ?? taken) - taken) : 0
        let kept = buffer.readSlice(length: min(rest, buffer.readableBytes)) ?? ByteBuffer()
        buffer = ByteBuffer(bytes: kept.readableBytesView)
        ends.removeAll()
        markEnd()
    }

    /// Forgets everything but keeps the storage, for a batch that is filled again every tick.
    public mutating func clear() {
        buffer.clear()
        openFrame = -1
    }
}
