/// One of the 16384 hash slots of Redis Cluster. All keys of a room live in its shard.
///
/// Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
public struct Shard: Hashable, Sendable, Comparable, CustomStringConvertible {
    public static let count = 16_384
    public let number: UInt16

    /// The shard of a room: CRC16 of its hash tag, or of the whole name when it has none.
    public init(room: String) {
        var tag = HashTag(of: room)
        number = tag.text.withUTF8 { crc16($0) } % UInt16(Self.count)
    }

    public var description: String { "\(number)" }
    public static func < (a: Shard, b: Shard) -> Bool { a.number < b.number }
}

/// The part of a name that Redis hashes: what stands between the first `{` and the first `}` after it, if that is
/// not empty, else the whole name.
public struct HashTag {
    public var text: String

    public init(of name: String) {
        let bytes = name.utf8
        guard let open = bytes.firstIndex(of: UInt8(ascii: "{")) else {
            text = name
            return
        }
        let start = bytes.index(after: open)
        guard let close = bytes[start...].firstIndex(of: UInt8(ascii: "}")), close != start else {
            text = name
            return
        }
        text = String(name[start..<close])
    }
}

/// CRC-16/XMODEM (polynomial 0x1021, start 0), bit by bit: rooms are hashed when they open, not per message.
func crc16(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt16 {
    var crc: UInt16 = 0
    for byte in bytes {
        crc ^= UInt16(byte) << 8
        for _ in 0..<8 {
            crc = crc & 0x8000 != 0 ? (crc << 1) ^ 0x1021 : crc << 1
        }
    }
    return crc
}
