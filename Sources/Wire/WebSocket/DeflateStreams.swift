import CZlib
public import NIOCore

/// zlib's compressor, set up for permessage-deflate (RFC 7692, section 7.2.1) without context takeover: every message stands by
/// itself, so one deflater serves all connections of an event loop that agreed on its window. It holds about 256 KiB.
///
/// With `WebSocketInflater` the owner of zlib's streams; this file is the only one that calls zlib.
public final class WebSocketDeflater {
    /// The windows that zlib can compress with. RFC 7692 also knows 8.
    public static let windowBitsRange = 9...15
    /// A sync flush ends in these bytes, which do not travel.
    static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameter windowBits: messages refer back at most 2 to the power of this many bytes; 9 to 15.
    public init(windowBits: Int) {
        precondition(Self.windowBitsRange.contains(windowBits), "WebSocketDeflater(windowBits: \(windowBits)) outside 9...15")
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // A negative window means raw deflate. The fastest level: on chat the better ones save little and cost three times as much.
        let status = deflateInit2_(
            stream, Z_BEST_SPEED, Z_DEFLATED, CInt(-windowBits), 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "deflateInit2 failed with \(status): out of memory, or another zlib than at build time")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends the compressed form of one message. False, and nothing is appended, if that would be no shorter than the payload:
    /// such a message travels as it is.
    public func compress(_ payload: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) -> Bool {
        let room = Self.outputBytes(of: payload.count)
        buffer.reserveCapacity(minimumWritableBytes: room)
        let written = buffer.withUnsafeMutableWritableBytes { output in
            compress(payload, into: output)
        }
        guard let written else { return false }
        buffer.moveWriterIndex(forwardBy: written)
        return true
    }

    /// The room that `compress` needs: for one byte less than the payload, the tail, and one more byte that says it was enough.
    static func outputBytes(of payloadBytes: Int) -> Int { payloadBytes + tail.count }

    /// Writes the compressed form of one message to the start of `output`, which is apart from the payload and has `outputBytes`.
    /// - Returns: its bytes; nil if it would be no shorter than the payload.
    func compress(_ payload: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard !payload.isEmpty, let inputBytes = UInt32(exactly: payload.count),
            let room = UInt32(exactly: Self.outputBytes(of: payload.count))
        else { return nil }
        precondition(output.count >= Int(room), "\(output.count) bytes of output for \(payload.count) of payload")
        deflateReset(stream)
        stream.pointee.next_in = payload.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_in = inputBytes
        stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_out = room
        // The only error possible here is a full output.
        guard deflate(stream, Z_SYNC_FLUSH) == Z_OK, stream.pointee.avail_out > 0 else { return nil }
        return Int(room - stream.pointee.avail_out) - Self.tail.count
    }
}

/// zlib's decompressor, set up for permessage-deflate (RFC 7692, section 7.2.2) without context takeover: one inflater serves all
/// connections of an event loop, whatever window their peers use. It holds about 40 KiB.
public final class WebSocketInflater {
    /// The output begins with four times the input, between these bounds, and doubles from there.
    private static let stepBytesMin = 512
    private static let stepBytesMax = 64 << 10

    private let stream: UnsafeMutablePointer<z_stream>

    public init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = inflateInit2_(stream, -MAX_WBITS, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "inflateInit2 failed with \(status): out of memory, or another zlib than at build time")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// The message whose compressed form is `payload`. The limit holds while inflating: what goes beyond it is never produced.
    /// - Parameter bytesMax: of the message; at most 2 GiB, whatever is given.
    /// - Throws: `messageTooLarge` beyond the limit; `invalidCompression` for bytes that are no deflate stream or end inside a block.
    public func inflate(_ payload: ByteBuffer, bytesMax: Int) throws(WebSocketViolation) -> ByteBuffer {
        inflateReset(stream)
        var message = ByteBuffer()
        let bytesMax = min(bytesMax, Int(Int32.max))
        _ = try payload.withUnsafeReadableBytes { feed($0, into: &message, bytesMax: bytesMax) }.get()
        let end = try WebSocketDeflater.tail.withUnsafeBytes { feed($0, into: &message, bytesMax: bytesMax) }.get()
        guard end == Z_STREAM_END || isBetweenBlocks else { throw .invalidCompression }
        return message
    }

    /// What the last message made zlib produce, for the tests of the limit.
    var producedBytes: Int { Int(stream.pointee.total_out) }

    /// Inflates some of the stream's bytes until all are used up; the last status of zlib.
    private func feed(
        _ bytes: UnsafeRawBufferPointer, into message: inout ByteBuffer, bytesMax: Int
    ) -> Result<CInt, WebSocketViolation> {
        guard let inputBytes = UInt32(exactly: bytes.count) else { return .failure(.messageTooLarge) }
        stream.pointee.next_in = bytes.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_in = inputBytes
        while true {
            if message.writableBytes == 0 { grow(&message, by: 4 * bytes.count) }
            // One byte above the limit tells a message that passes it from one that only reaches it.
            let status = step(&message, bytesMax: min(message.writableBytes, bytesMax - message.readableBytes + 1))
            guard message.readableBytes <= bytesMax else { return .failure(.messageTooLarge) }
            switch status {
            case Z_OK, Z_BUF_ERROR: break
            // A block that calls itself the last one does not end the message (section 7.2.3.4).
            case Z_STREAM_END where stream.pointee.avail_in > 0: inflateResetKeep(stream)
            case Z_STREAM_END: return .success(status)
            default: return .failure(.invalidCompression)
            }
            guard stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0 else { return .success(status) }
        }
    }

    /// Makes room in steps, so that a bomb costs no more than twice what it may produce.
    private func grow(_ message: inout ByteBuffer, by bytes: Int) {
        message.reserveCapacity(minimumWritableBytes: max(Self.stepBytesMin, min(bytes, Self.stepBytesMax), message.readableBytes))
    }

    /// Appends at most `bytesMax` bytes to the message and returns zlib's status.
    private func step(_ message: inout ByteBuffer, bytesMax: Int) -> CInt {
        var status = Z_OK
        message.writeWithUnsafeMutableBytes(minimumWritableBytes: bytesMax) { output in
            stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(bytesMax)
            status = CZlib.inflate(stream, Z_SYNC_FLUSH)
            return bytesMax - Int(stream.pointee.avail_out)
        }
        return status
    }

    /// Whether the last byte that was used up ended a block, and no bit of it is left: zlib's manual on `inflate`, `data_type`.
    private var isBetweenBlocks: Bool { stream.pointee.data_type & 0b1011_1111 == 0b1000_0000 }
}
