import NIOCore

/// The few JSON tokens that the fan-out path writes, appended without an intermediate string.
enum JSONWriter {
    static let quote = UInt8(ascii: "\"")

    /// A string literal (RFC 8259, section 7): `"`, `\` and control characters are escaped, all else is copied in runs.
    static func append(_ text: String, to buffer: inout ByteBuffer) {
        var text = text
        buffer.writeInteger(quote)
        text.withUTF8 { appendEscaped(UnsafeRawBufferPointer($0), to: &buffer) }
        buffer.writeInteger(quote)
    }

    static func append(_ value: UInt64, to buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { target in
            var length = 1
            var rest = value
            while rest >= 10 {
                rest /= 10
                length += 1
            }
            rest = value
            for index in stride(from: length - 1, through: 0, by: -1) {
                target[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return length
        }
    }

    static func append(_ value: Int64, to buffer: inout ByteBuffer) {
        if value < 0 { buffer.writeInteger(UInt8(ascii: "-")) }
        append(value.magnitude, to: &buffer)
    }

    static func append(base64 bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) {
        buffer.writeInteger(quote)
        Base64.append(bytes, to: &buffer)
        buffer.writeInteger(quote)
    }

    private static func appendEscaped(_ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) {
        var start = 0
        for index in bytes.indices where needsEscape(bytes[index]) {
            buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            appendEscape(bytes[index], to: &buffer)
            start = index + 1
        }
        buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == quote || byte == UInt8(ascii: "\\")
    }

    private static func appendEscape(_ byte: UInt8, to buffer: inout ByteBuffer) {
        switch byte {
        case quote: buffer.writeStaticString("\\\"")
        case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
        case 0x0A: buffer.writeStaticString("\\n")
        case 0x0D: buffer.writeStaticString("\\r")
        case 0x09: buffer.writeStaticString("\\t")
        default:
            buffer.writeStaticString("\\u00")
            buffer.writeInteger(hexDigit(byte >> 4))
            buffer.writeInteger(hexDigit(byte & 0xF))
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
