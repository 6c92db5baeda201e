import MeshCore
import NIOCore
import SwiftProtobuf

/// A `heliograph.v1.Message` is encoded once, by the edge that took it from its client. The home adds what it decides, the time and
/// then the position, by appending fields: protobuf lets fields stand in any order, so nothing is decoded or copied again.
public enum MessageBody {
    private static let atTag: UInt8 = 6 << 3 | 0
    private static let positionTag: UInt8 = 2 << 3 | 2
    /// `ServerFrame.message`.
    private static let messageTag: UInt8 = 12 << 3 | 2
    private static let epochTag: UInt8 = 1 << 3 | 0
    private static let seqTag: UInt8 = 2 << 3 | 0

    public static func appendAt(_ at: WallMilliseconds, to body: inout ByteBuffer) {
        body.writeInteger(atTag)
        appendVarint(UInt64(bitPattern: at), to: &body)
    }

    public static func appendPosition(_ position: Position, to body: inout ByteBuffer) {
        let bytes = 2 + varintBytes(position.epoch) + varintBytes(position.seq)
        body.writeInteger(positionTag)
        appendVarint(UInt64(bytes), to: &body)
        body.writeInteger(epochTag)
        appendVarint(position.epoch, to: &body)
        body.writeInteger(seqTag)
        appendVarint(position.seq, to: &body)
    }

    /// Nil for bytes that are no message.
    public static func decode(_ body: ByteBuffer) -> RelayMessage? { try? RelayMessage(serializedBytes: BorrowedBytes(body)) }

    /// What the edge knows of a message, by hand: it is done for every publish.
    ///
    /// - Parameter key: of the client, or one that the edge has made.
    public static func encode(_ publish: RelayPublish, from user: String, device: String, key: String) -> ByteBuffer {
        var body = ByteBuffer()
        body.reserveCapacity(64 + publish.contentBytes + publish.room.utf8.count + user.utf8.count + device.utf8.count + key.utf8.count)
        append(1, publish.room, to: &body)
        append(3, user, to: &body)
        append(4, device, to: &body)
        append(5, key, to: &body)
        switch publish.content {
        case .text(let text): append(7, text, to: &body)
        case .data(let data): append(8, data, to: &body)
        case nil: break
        }
        append(9, publish.contentType, to: &body)
        for (name, value) in publish.headers { appendHeader(name, value, to: &body) }
        return body
    }

    /// An entry of a map: a message with key and value.
    private static func appendHeader(_ name: String, _ value: String, to body: inout ByteBuffer) {
        body.writeInteger(tag(10))
        let (name, value) = (name.utf8, value.utf8)
        let bytes = [name.count, value.count].reduce(0) { $0 + 1 + varintBytes(UInt64($1)) + $1 }
        appendVarint(UInt64(bytes), to: &body)
        append(1, name, to: &body)
        append(2, value, to: &body)
    }

    private static func append(_ field: UInt8, _ text: String, to body: inout ByteBuffer) { append(field, text.utf8, to: &body) }

    private static func append(_ field: UInt8, _ bytes: some Collection<UInt8>, to body: inout ByteBuffer) {
        body.writeInteger(tag(field))
        appendVarint(UInt64(bytes.count), to: &body)
        body.writeBytes(bytes)
    }

    /// Of a field below 16 that says its length.
    private static func tag(_ field: UInt8) -> UInt8 { field << 3 | 2 }

    /// The message with its time, in a buffer of its own that has room for its position.
    public static func stamped(_ message: ByteBuffer, at: WallMilliseconds) -> ByteBuffer {
        var body = ByteBuffer()
        body.reserveCapacity(message.readableBytes + stampBytesMax)
        body.writeImmutableBuffer(message)
        appendAt(at, to: &body)
        return body
    }

    /// Time and position, each varint with ten bytes.
    private static let stampBytesMax = 1 + 10 + 2 + 2 * 11

    /// Appends a whole message as a `ServerFrame` push in one of the binary encodings, by wrapping its bytes.
    public static func appendPush(_ message: ByteBuffer, encoding: FrameEncoding, to buffer: inout ByteBuffer) {
        let length = UInt64(message.readableBytes)
        let frameBytes = 1 + UInt64(varintBytes(length)) + length
        if encoding == .grpc { GRPCPrefix.append(bytes: Int(frameBytes), to: &buffer) } else { appendVarint(frameBytes, to: &buffer) }
        buffer.writeInteger(messageTag)
        appendVarint(length, to: &buffer)
        buffer.writeImmutableBuffer(message)
    }

    private static func varintBytes(_ value: UInt64) -> Int {
        max(1, (64 - value.leadingZeroBitCount + 6) / 7)
    }
}

extension RelayPublish {
    fileprivate var contentBytes: Int {
        switch content {
        case .text(let text): text.utf8.count
        case .data(let data): data.count
        case nil: 0
        }
    }
}
