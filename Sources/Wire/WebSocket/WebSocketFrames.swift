public import NIOCore

/// Writes WebSocket frames (RFC 6455, section 5.2), each final and with its length in the shortest form. A server
/// passes no mask; a client passes a fresh unpredictable one for every frame (section 5.3).
public enum WebSocketFrames {
    /// The longest header: 2 bytes, 8 of length, 4 of mask.
    public static let headerBytesMax = 14
    /// The longest payload of a control frame.
    public static let controlBytesMax = 125

    /// One frame whose payload is `parts` in their order.
    public static func append(
        _ opcode: WebSocketOpcode, _ parts: ByteBuffer..., mask: UInt32? = nil, to buffer: inout ByteBuffer
    ) {
        let payloadBytes = parts.reduce(0) { $0 + $1.readableBytes }
        buffer.reserveCapacity(minimumWritableBytes: headerBytesMax + payloadBytes)
        appendHeader(opcode, payloadBytes: payloadBytes, mask: mask, to: &buffer)
        let start = buffer.writerIndex
        for part in parts { buffer.writeImmutableBuffer(part) }
        if let mask { applyMask(mask, in: &buffer, from: start) }
    }

    /// The header of a frame whose payload the caller writes (and, with a mask, has masked) behind it.
    public static func appendHeader(_ opcode: WebSocketOpcode, payloadBytes: Int, mask: UInt32? = nil, to buffer: inout ByteBuffer) {
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        buffer.writeInteger(0x80 | opcode.rawValue)
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
        let payloadBytes = buffer.writerIndex - start - reservedBytes
        precondition(payloadBytes >= 0, "sealFrame(start: \(start)) without reserveHeader, writer at \(buffer.writerIndex)")
        let headerBytes = payloadBytes <= 125 ? 2 : payloadBytes <= Int(UInt16.max) ? 4 : 10
        if headerBytes != reservedBytes {
            movePayload(in: &buffer, from: start + reservedBytes, to: start + headerBytes, bytes: payloadBytes)
        }
        buffer.moveWriterIndex(to: start)
        WebSocketFrames.appendHeader(opcode, payloadBytes: payloadBytes, to: &buffer)
        buffer.moveWriterIndex(to: start + headerBytes + payloadBytes)
    }

    private static func movePayload(in buffer: inout ByteBuffer, from: Int, to: Int, bytes: Int) {
        if to > from { buffer.writeRepeatingByte(0, count: to - from) }
        let base = buffer.readerIndex
        buffer.withUnsafeMutableReadableBytes { readable in
            guard bytes > 0, let start = readable.baseAddress else { return }
            (start + (to - base)).copyMemory(from: start + (from - base), byteCount: bytes)
        }
    }
}
