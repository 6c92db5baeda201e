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

    public static func encode(_ message: RelayMessage) -> ByteBuffer? {
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return nil }
        return ByteBuffer(bytes: bytes)
    }

    /// Appends a whole message as a `ServerFrame` push in one of the binary encodings, by wrapping its bytes.
    public static func appendPush(_ message: ByteBuffer, encoding: FrameEncoding, to buffer: inout ByteBuffer) {
        let length = UInt64(message.readableBytes)
        let frameBytes = 1 + UInt64(varintBytes(length)) + length
        if encoding == .grpc { GRPCPrefix.append(bytes: Int(frameBytes), to: &buffer) } else { appendVarint(frameBytes, to: &buffer) }
        buffer.writeInteger(messageTag)
        appendVarint(length, to: &buffer)
        buffer.writeImmutableBuffer(message)
    }

    private static func appendVarint(_ value: UInt64, to body: inout ByteBuffer) {
        var rest = value
        while rest >= 0x80 {
            body.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        body.writeInteger(UInt8(rest))
    }

    private static func varintBytes(_ value: UInt64) -> Int {
        max(1, (64 - value.leadingZeroBitCount + 6) / 7)
    }
}
