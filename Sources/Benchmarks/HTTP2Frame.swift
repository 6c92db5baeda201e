import NIOCore

/// The nine bytes before each frame of HTTP/2 (RFC 9113, section 4.1).
struct HTTP2FrameHeader: Hashable {
    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let resetStream: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
    }

    enum Flag {
        /// Of DATA and HEADERS.
        static let endStream: UInt8 = 0x1
        /// Of SETTINGS and PING.
        static let acknowledges: UInt8 = 0x1
        static let endHeaders: UInt8 = 0x4
        static let isPadded: UInt8 = 0x8
        static let hasPriority: UInt8 = 0x20
    }

    static let bytes = 9

    var length: Int
    var kind: UInt8
    var flags: UInt8 = 0
    var stream: UInt32 = 0

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    func append(to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(UInt8(length >> 16 & 0xFF), UInt16(length & 0xFFFF), kind, flags, stream)
    }
}

extension HTTP2FrameHeader {
    /// - Parameter raw: nine bytes.
    init(reading raw: UnsafeRawBufferPointer) {
        length = Int(raw[0]) << 16 | Int(raw[1]) << 8 | Int(raw[2])
        kind = raw[3]
        flags = raw[4]
        stream = UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 5, as: UInt32.self)) & 0x7FFF_FFFF
    }
}

/// Header blocks that need no table: literal fields without indexing and without Huffman's code (RFC 7541, section 6.2.2).
enum PlainHPACK {
    static func append(_ name: String, _ value: String, to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(0))
        appendText(name, to: &buffer)
        appendText(value, to: &buffer)
    }

    private static func appendText(_ text: String, to buffer: inout ByteBuffer) {
        appendLength(text.utf8.count, to: &buffer)
        buffer.writeString(text)
    }

    /// An integer with a prefix of seven bits (section 5.1).
    private static func appendLength(_ length: Int, to buffer: inout ByteBuffer) {
        guard length >= 127 else {
            buffer.writeInteger(UInt8(length))
            return
        }
        buffer.writeInteger(UInt8(127))
        var rest = length - 127
        while rest >= 128 {
            buffer.writeInteger(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(rest))
    }
}
