import Glibc

/// Counts the deliveries in the bytes of one connection, with as little reading as that takes: a header per frame, then
/// a search for line feeds (JSON) or a hop from length to length (protobuf). State is a few words, no bytes are kept.
struct DeliveryCounter {
    /// What one delivery is.
    enum Unit: Sendable {
        /// A text or binary frame.
        case frame
        /// A JSON object; those of one frame are separated by line feeds.
        case line
        /// A protobuf message behind its length.
        case delimited
    }

    private enum Step {
        case header
        case payload
    }

    let unit: Unit
    private var step = Step.header
    private var headerBytes: (UInt64, UInt16) = (0, 0)
    private var headerCount = 0
    private var opcode: UInt8 = 0
    private var payloadLeft = 0
    private var delimitedLeft = 0
    private var lengthShift: UInt64 = 0
    private(set) var pings = 0
    /// The server has closed, or sent what a server does not send here.
    private(set) var isBroken = false

    init(unit: Unit) { self.unit = unit }

    /// The number of deliveries that end in these bytes.
    mutating func count(_ bytes: UnsafeRawBufferPointer) -> Int {
        var deliveries = 0
        var index = 0
        while index < bytes.count, !isBroken {
            switch step {
            case .header:
                readHeaderByte(bytes[index])
                index += 1
            case .payload:
                let length = min(payloadLeft, bytes.count - index)
                deliveries += countPayload(UnsafeRawBufferPointer(rebasing: bytes[index..<index + length]))
                payloadLeft -= length
                index += length
            }
            if step == .payload, payloadLeft == 0 { deliveries += endFrame() }
        }
        return deliveries
    }

    mutating func takePings() -> Int {
        defer { pings = 0 }
        return pings
    }

    private mutating func readHeaderByte(_ byte: UInt8) {
        withUnsafeMutableBytes(of: &headerBytes) { $0[headerCount] = byte }
        headerCount += 1
        guard headerCount >= 2 else { return }
        let (first, short) = withUnsafeBytes(of: headerBytes) { ($0[0], $0[1]) }
        let headerLength = short == 126 ? 4 : short == 127 ? 10 : 2
        guard headerCount == headerLength else { return }
        isBroken = short & 0x80 != 0 || first & 0x80 == 0
        opcode = first & 0x0F
        payloadLeft = Self.length(short, headerBytes)
        headerCount = 0
        step = .payload
    }

    private static func length(_ short: UInt8, _ header: (UInt64, UInt16)) -> Int {
        withUnsafeBytes(of: header) { bytes in
            switch short {
            case 126: Int(bytes[2]) << 8 | Int(bytes[3])
            case 127: (2..<10).reduce(0) { $0 << 8 | Int(bytes[$1]) }
            default: Int(short)
            }
        }
    }

    private mutating func countPayload(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard opcode == 1 || opcode == 2 else { return 0 }
        switch unit {
        case .frame: return 0
        case .line: return countLineFeeds(bytes)
        case .delimited: return countDelimited(bytes)
        }
    }

    private mutating func endFrame() -> Int {
        step = .header
        switch opcode {
        case 1, 2: return unit == .delimited ? 0 : 1
        case 8: isBroken = true
        case 9: pings += 1
        default: break
        }
        return 0
    }

    private func countLineFeeds(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var count = 0
        var offset = 0
        while offset < bytes.count, let found = memchr(base + offset, 0x0A, bytes.count - offset) {
            count += 1
            offset = UnsafeRawPointer(found) - base + 1
        }
        return count
    }

    private mutating func countDelimited(_ bytes: UnsafeRawBufferPointer) -> Int {
        var count = 0
        var index = 0
        while index < bytes.count {
            if lengthShift == 0, delimitedLeft > 0 {
                let length = min(delimitedLeft, bytes.count - index)
                delimitedLeft -= length
                index += length
                if delimitedLeft == 0 { count += 1 }
            } else {
                delimitedLeft |= Int(bytes[index] & 0x7F) << Int(lengthShift)
                lengthShift = bytes[index] & 0x80 == 0 ? 0 : lengthShift + 7
                index += 1
            }
        }
        return count
    }
}
