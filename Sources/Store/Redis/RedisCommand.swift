import MeshCore
import NIOCore

/// A command being put together: its arguments one after another in one buffer.
struct RedisCommand {
    private(set) var bytes: ByteBuffer
    /// Where each argument ends in `bytes`.
    private(set) var ends: [Int] = []

    init(_ name: String) {
        bytes = ByteBuffer()
        append(name)
    }

    init(_ name: String, _ arguments: String...) {
        self.init(name)
        for argument in arguments { append(argument) }
    }

    mutating func append(_ text: String) {
        bytes.writeString(text)
        ends.append(bytes.writerIndex)
    }

    mutating func append(_ number: some BinaryInteger) { append(String(number)) }

    mutating func append(_ buffer: ByteBuffer) {
        bytes.writeImmutableBuffer(buffer)
        ends.append(bytes.writerIndex)
    }

    mutating func append(script: [UInt8]) {
        bytes.writeBytes(script)
        ends.append(bytes.writerIndex)
    }

    /// The dedup field of a message: user and key apart by NUL, which no user id contains.
    mutating func append(user: String, key: String) {
        bytes.writeString(user)
        bytes.writeInteger(UInt8(0))
        append(key)
    }

    /// How much of a log is kept: messages, ms (0 for ever), bytes.
    mutating func append(kept retention: Retention) {
        append(retention.messagesMax)
        append(retention.ageMax?.milliseconds ?? 0)
        append(retention.bytesMax)
    }

    /// Bytes of all arguments: what the bound on bytes in flight counts.
    var byteCount: Int { bytes.readableBytes }
}
