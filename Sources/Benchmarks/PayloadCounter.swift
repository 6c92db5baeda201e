import Glibc

/// Counts the deliveries in a payload that arrives in any cut: a search for line feeds, or a hop from length to length. State is a few
/// words, no bytes are kept.
struct PayloadCounter {
    /// What one delivery is.
    enum Unit: Hashable, Sendable {
        /// A text or binary frame.
        case frame
        /// A JSON object; a line feed or the end of a frame ends it.
        case line
        /// A protobuf message behind its length, a varint.
        case delimited
        /// A protobuf message behind gRPC's prefix: a flag and four bytes of length.
        case prefixed
    }

    /// What is shorter is no message but small talk, such as a pong.
    static let messageBytesMin = 16
    private static let prefixBytes = 5

    let unit: Unit
    /// Of the line or message that has begun.
    private var bytesSoFar = 0
    private var messageLeft = 0
    private var messageBytes = 0
    /// Of the length that is being read.
    private var lengthBytesSeen = 0

    init(unit: Unit) { self.unit = unit }

    /// The number of deliveries that end in these bytes.
    mutating func count(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch unit {
        case .frame: 0
        case .line: countLines(bytes)
        case .delimited, .prefixed: countMessages(bytes)
        }
    }

    /// The number of deliveries that end with a frame.
    mutating func endFrame() -> Int {
        switch unit {
        case .frame: return 1
        case .line: return endLine()
        case .delimited, .prefixed: return 0
        }
    }

    // MARK: Lines

    private mutating func countLines(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var count = 0
        var offset = 0
        while offset < bytes.count, let found = memchr(base + offset, 0x0A, bytes.count - offset) {
            let end = UnsafeRawPointer(found) - base
            bytesSoFar += end - offset
            count += endLine()
            offset = end + 1
        }
        bytesSoFar += bytes.count - offset
        return count
    }

    private mutating func endLine() -> Int {
        defer { bytesSoFar = 0 }
        return bytesSoFar >= Self.messageBytesMin ? 1 : 0
    }

    // MARK: Messages

    private mutating func countMessages(_ bytes: UnsafeRawBufferPointer) -> Int {
        var count = 0
        var index = 0
        while index < bytes.count {
            if messageLeft == 0 {
                if readLengthByte(bytes[index]) { messageLeft = messageBytes }
                index += 1
            } else {
                let part = min(messageLeft, bytes.count - index)
                messageLeft -= part
                index += part
                if messageLeft == 0, messageBytes >= Self.messageBytesMin { count += 1 }
            }
        }
        return count
    }

    /// True with the last byte of a length.
    private mutating func readLengthByte(_ byte: UInt8) -> Bool {
        if lengthBytesSeen == 0 { messageBytes = 0 }
        let isLast: Bool
        if unit == .prefixed {
            // The flag of compression comes first; it is 0.
            messageBytes = messageBytes << 8 | Int(byte)
            isLast = lengthBytesSeen + 1 == Self.prefixBytes
        } else {
            messageBytes |= Int(byte & 0x7F) << (7 * lengthBytesSeen)
            isLast = byte & 0x80 == 0
        }
        lengthBytesSeen = isLast ? 0 : lengthBytesSeen + 1
        return isLast
    }
}
