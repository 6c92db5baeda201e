import NIOCore
import Wire

/// Reads what the server says to one session before there is traffic.
struct ReplyReader {
    private static let messageBytesMax = 4 << 20

    private enum Framing {
        case webSocket(WebSocketParser)
        case stream(StreamFraming)
    }

    private let encoding: FrameEncoding
    private var framing: Framing
    private var unread = ByteBuffer()

    init(encoding: FrameEncoding, isFramed: Bool) {
        self.encoding = encoding
        framing =
            isFramed
            ? .webSocket(WebSocketParser(role: .client, messageBytesMax: Self.messageBytesMax))
            : .stream(StreamFraming(encoding, frameBytesMax: Self.messageBytesMax))
    }

    /// Hands the frames on until one was the last that is waited for; true then. Throws for an error and for a goodbye.
    mutating func read(_ bytes: UnsafeRawBufferPointer, until isLast: (RelayServerFrame) throws -> Bool) throws -> Bool {
        unread.writeBytes(bytes)
        while let payload = try next() {
            for frame in try ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: Self.messageBytesMax) {
                switch frame.frame {
                case .error(let error): throw BenchmarkError.protocolFailed("\(error.code) \(error.message)")
                case .goodbye(let goodbye): throw BenchmarkError.protocolFailed("goodbye \(goodbye.code) \(goodbye.reason)")
                default: if try isLast(frame) { return true }
                }
            }
        }
        return false
    }

    private mutating func next() throws -> ByteBuffer? {
        switch framing {
        case .stream(var stream):
            defer { framing = .stream(stream) }
            return try stream.next(&unread)
        case .webSocket(var parser):
            defer { framing = .webSocket(parser) }
            while let event = parser.next(&unread) {
                switch event {
                case .text(let payload), .binary(let payload): return payload
                case .ping, .pong: break
                case .close, .violation: throw BenchmarkError.protocolFailed("\(event)")
                }
            }
            return nil
        }
    }
}
