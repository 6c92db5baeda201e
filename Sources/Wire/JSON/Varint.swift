import NIOCore

/// Protobuf's base-128 varint, least significant group first.
func appendVarint(_ value: UInt64, to buffer: inout ByteBuffer) {
    var rest = value
    while rest >= 0x80 {
        buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
    }
    buffer.writeInteger(UInt8(rest))
}

/// Nil if the varint is cut off or longer than the ten bytes that 64 bits can take; then the buffer is left anywhere.
func readVarint(from buffer: inout ByteBuffer) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
        guard let byte: UInt8 = buffer.readInteger() else { return nil }
        guard shift < 63 || byte <= 1 else { return nil }
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
    }
    return nil
}
