public import NIOCore

/// Writes WebSocket frames (RFC 6455, section 5.2), each final and with its length in the shortest form. A server
/// passes no mask; a client passes a fresh unpredictable one for every frame (section 5.3).
public enum WebSocketFrames {
    /// The longest header: 2 bytes, 8 of length, 4 of mask.
    public static let headerBytesMax = 14
    /// The longest payload of a control frame.
    public static let controlBytesMax = 125

    /// One frame whose payload is `parts` in their order.
    /// - Parameter isCompressed: the payload is a message that `WebSocketDeflater` has compressed.
    public static func append(
        _ opcode: WebSocketOpcode, _ parts: ByteBuffer..., mask: UInt32? = nil, isCompressed: Bool = false, to buffer: inout ByteBuffer
    ) {
        let payloadBytes = parts.reduce(0) { $0 + $1.readableBytes }
        buffer.reserveCapacity(minimumWritableBytes: headerBytesMax + payloadBytes)
        appendHeader(opcode, payloadBytes: payloadBytes, mask: mask, isCompressed: isCompressed, to: &buffer)
        let start = buffer.writerIndex
        for part in parts { buffer.writeImmutableBuffer(part) }
        if let mask { applyMask(mask, in: &buffer, from: start) }
    }

    /// The header of a frame whose payload the caller writes (and, with a mask, has masked) behind it.
    public static func appendHeader(
        _ opcode: WebSocketOpcode, payloadBytes: Int, mask: UInt32? = nil, isCompressed: Bool = false, to buffer: inout ByteBuffer
    ) {
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        // FIN, and RSV1 for a compressed message (RFC 7692, section 6).
        buffer.writeInteger((isCompressed ? 0xC0 : 0x80) | opcode.rawValue)
        switch payloadBytes {
        case ...125:
            buffer.writeInteger(maskBit | UInt8(payloadBytes))
        case ...Int(UInt16.max):
            buffer.writeInteger(maskBit | 126)
            buffer.writeInteger(UInt16(payloadBytes))
        default:
            buffer.writeInteger(maskBit | 127)
            buffer.writeInteger(UInt64(payloadBytes))
        }
        if let mask { buffer.writeInteger(mask, endianness: .little) }
    }

    /// A ping; its payload comes back in the pong. Payload beyond 125 bytes is cut off.
    public static func appendPing(_ payload: ByteBuffer = ByteBuffer(), mask: UInt32? = nil, to buffer: inout ByteBuffer) {
        var rest = payload
        let kept = rest.readSlice(length: min(rest.readableBytes, controlBytesMax)) ?? ByteBuffer()
        append(.ping, kept, mask: mask, to: &buffer)
    }

    /// The answer to a ping, with the ping's own payload.
    public static func appendPong(_ payload: ByteBuffer, mask: UInt32? = nil, to buffer: inout ByteBuffer) {
        append(.pong, payload, mask: mask, to: &buffer)
    }

    /// A close frame; without a code it is empty. The reason is cut, at a character, to the 123 bytes that fit.
    public static func appendClose(code: UInt16?, reason: String = "", mask: UInt32? = nil, to buffer: inout ByteBuffer) {
        var payload = ByteBuffer()
        if let code {
            payload.writeInteger(code)
            payload.writeString(prefix(of: reason, bytesMax: controlBytesMax - 2))
        }
        append(.close, payload, mask: mask, to: &buffer)
    }

    private static func prefix(of text: String, bytesMax: Int) -> String {
        var text = text
        while text.utf8.count > bytesMax { text.unicodeScalars.removeLast() }
        return text
    }

    static func applyMask(_ mask: UInt32, in buffer: inout ByteBuffer, from start: Int) {
        let offset = start - buffer.readerIndex
        buffer.withUnsafeMutableReadableBytes { bytes in
            Wire.applyMask(mask, to: UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]))
        }
    }
}

extension WebSocketFrames {
    /// A message shorter than this is not worth a compressor's time.
    public static let compressedBytesMin = 64

    /// One frame with the message compressed, or as it is where that would be no shorter.
    public static func appendCompressed(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, mask: UInt32? = nil, deflater: WebSocketDeflater, to buffer: inout ByteBuffer
    ) {
        var compressed = ByteBuffer()
        let isCompressed =
            payload.readableBytes >= compressedBytesMin
            && payload.withUnsafeReadableBytes { deflater.compress($0, into: &compressed) }
        append(opcode, isCompressed ? compressed : payload, mask: mask, isCompressed: isCompressed, to: &buffer)
    }
}

/// Builds one server frame in place: its payload is appended piece by piece, and the header is filled in at the end.
///
///     let start = WebSocketBatch.reserveHeader(in: &buffer)
///     // append the frames of the tick to buffer
///     WebSocketBatch.sealFrame(in: &buffer, start: start, opcode: .text)
public enum WebSocketBatch {
    /// Room for the header of a payload of 126 to 65535 bytes, which is what a batch usually has.
    public static let reservedBytes = 4

    /// Leaves room for a header and returns where it is, for `sealFrame`.
    public static func reserveHeader(in buffer: inout ByteBuffer) -> Int {
        let start = buffer.writerIndex
        buffer.writeRepeatingByte(0, count: reservedBytes)
        return start
    }

    /// Turns everything behind the reserved header into the payload of one unmasked frame. Payloads that need a shorter
    /// or longer header than reserved are moved.
    public static func sealFrame(in buffer: inout ByteBuffer, start: Int, opcode: WebSocketOpcode) {
        seal(in: &buffer, start: start, payload: payload(in: buffer, start: start), opcode: opcode, isCompressed: false)
    }

    /// The same with the message compressed, where that makes it shorter (RFC 7692, section 6.1, lets every message choose).
    public static func sealCompressedFrame(
        in buffer: inout ByteBuffer, start: Int, opcode: WebSocketOpcode, deflater: WebSocketDeflater
    ) {
        let payload = payload(in: buffer, start: start)
        if let compressed = compress(payload, in: &buffer, deflater: deflater) {
            seal(in: &buffer, start: start, payload: compressed, opcode: opcode, isCompressed: true)
        } else {
            seal(in: &buffer, start: start, payload: payload, opcode: opcode, isCompressed: false)
        }
    }

    private static func payload(in buffer: ByteBuffer, start: Int) -> Range<Int> {
        precondition(start + reservedBytes <= buffer.writerIndex, "seal at \(start) without reserveHeader, writer at \(buffer.writerIndex)")
        return start + reservedBytes..<buffer.writerIndex
    }

    /// Appends the compressed payload; nil, and nothing is appended, if it would be no shorter.
    private static func compress(_ payload: Range<Int>, in buffer: inout ByteBuffer, deflater: WebSocketDeflater) -> Range<Int>? {
        guard payload.count >= WebSocketFrames.compressedBytesMin else { return nil }
        buffer.reserveCapacity(minimumWritableBytes: WebSocketDeflater.outputBytes(of: payload.count))
        let start = buffer.writerIndex
        let bytes = buffer.withVeryUnsafeMutableBytes { storage in
            deflater.compress(
                UnsafeRawBufferPointer(rebasing: storage[payload]), into: UnsafeMutableRawBufferPointer(rebasing: storage[start...]))
        }
        guard let bytes else { return nil }
        buffer.moveWriterIndex(forwardBy: bytes)
        return start..<start + bytes
    }

    private static func seal(
        in buffer: inout ByteBuffer, start: Int, payload: Range<Int>, opcode: WebSocketOpcode, isCompressed: Bool
    ) {
        let headerBytes = payload.count <= 125 ? 2 : payload.count <= Int(UInt16.max) ? 4 : 10
        movePayload(in: &buffer, payload, to: start + headerBytes)
        buffer.moveWriterIndex(to: start)
        WebSocketFrames.appendHeader(opcode, payloadBytes: payload.count, isCompressed: isCompressed, to: &buffer)
        buffer.moveWriterIndex(to: start + headerBytes + payload.count)
    }

    private static func movePayload(in buffer: inout ByteBuffer, _ payload: Range<Int>, to target: Int) {
        guard target != payload.lowerBound, !payload.isEmpty else { return }
        if target > payload.lowerBound { buffer.writeRepeatingByte(0, count: target - payload.lowerBound) }
        let base = buffer.readerIndex
        buffer.withUnsafeMutableReadableBytes { readable in
            guard let start = readable.baseAddress else { return }
            (start + (target - base)).copyMemory(from: start + (payload.lowerBound - base), byteCount: payload.count)
        }
    }
}
