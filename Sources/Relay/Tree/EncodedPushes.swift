import MeshCore
import NIOCore
import Wire

/// Messages of a room in JSON, kept for as long as many sessions are sent the same ones.
struct EncodedPushes {
    private var json: [Position: ByteBuffer] = [:]
    private var bytes = 0
    private static let bytesMax = 1 << 20

    var isEmpty: Bool { json.isEmpty }

    /// False for a body that is no message.
    mutating func appendJSON(_ position: Position, _ body: ByteBuffer, to buffer: inout ByteBuffer) -> Bool {
        if let known = json[position] {
            buffer.writeImmutableBuffer(known)
            return true
        }
        guard let decoded = MessageBody.decode(body) else { return false }
        var encoded = ByteBuffer()
        MessageJSON.append(decoded, to: &encoded)
        if bytes + encoded.readableBytes > Self.bytesMax { removeAll() }
        json[position] = encoded
        bytes += encoded.readableBytes
        buffer.writeImmutableBuffer(encoded)
        return true
    }

    mutating func removeAll() {
        json = [:]
        bytes = 0
    }
}
