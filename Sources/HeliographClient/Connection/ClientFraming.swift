import NIOCore
import Wire

/// How the frames of a session are cut out of a transport's bytes, and put into them. Lives on one event loop.
enum ClientFraming {
    case webSocket(WebSocketParser, FrameEncoding, WebSocketDeflater?)
    case stream(StreamFraming, FrameEncoding)

    /// A server's WebSocket message holds one or more frames of at most 1 MiB.
    static let messageBytesMax = 4 << 20
    static let frameBytesMax = 1 << 20

    /// What the next of the received bytes mean.
    enum Event {
        /// For `ServerFrameDecoder`.
        case frames(ByteBuffer)
        case ping(ByteBuffer)
        /// The server closes: with this close frame, which has to be answered with the code.
        case closed(code: UInt16?, reason: String)
        /// The server broke the rules; the code is for the answer.
        case fault(code: UInt16, String)
    }

    /// - Parameter deflate: what was agreed on, for a WebSocket.
    init(_ transport: ClientTransport, deflate: PermessageDeflate?) {
        guard transport.isStream else {
            let inflater = deflate == nil ? nil : WebSocketInflater()
            let parser = WebSocketParser(role: .client, messageBytesMax: Self.messageBytesMax, inflater: inflater)
            let deflater = deflate == nil ? nil : WebSocketDeflater(windowBits: WebSocketDeflater.windowBitsRange.upperBound)
            self = .webSocket(parser, transport.encoding, deflater)
            return
        }
        self = .stream(StreamFraming(transport.encoding, frameBytesMax: Self.frameBytesMax), transport.encoding)
    }

    /// Takes the next event from the front of `inbox`; nil means that more bytes are needed. What is not taken must be there, with more
    /// behind it, at the next call.
    mutating func next(_ inbox: inout ByteBuffer) -> Event? {
        switch self {
        case .webSocket(var parser, let encoding, let deflater):
            defer { self = .webSocket(parser, encoding, deflater) }
            while let event = parser.next(&inbox) {
                if let event = Self.meaning(of: event, encoding) { return event }
            }
            return nil
        case .stream(var framing, let encoding):
            defer { self = .stream(framing, encoding) }
            return Self.nextFrame(&framing, &inbox)
        }
    }

    /// Nil for what needs no answer.
    private static func meaning(of event: WebSocketParser.Event, _ encoding: FrameEncoding) -> Event? {
        switch event {
        case .text(let payload) where encoding.opcode == .text: .frames(payload)
        case .binary(let payload) where encoding.opcode == .binary: .frames(payload)
        case .text, .binary: .fault(code: WebSocketCloseCode.unsupportedData, "the server sent the wrong kind of message")
        case .ping(let payload): .ping(payload)
        case .pong: nil
        case .close(let code, let reason): .closed(code: code, reason: reason)
        case .violation(let violation): .fault(code: violation.code, "the server broke the WebSocket protocol: \(violation.reason)")
        }
    }

    private static func nextFrame(_ framing: inout StreamFraming, _ inbox: inout ByteBuffer) -> Event? {
        do throws(StreamFraming.Fault) {
            return try framing.next(&inbox).map { .frames($0) }
        } catch {
            switch error {
            case .tooLarge: return .fault(code: WebSocketCloseCode.messageTooBig, "the server sent a frame above \(frameBytesMax) bytes")
            case .compressed: return .fault(code: WebSocketCloseCode.protocolError, "the server sent a compressed message unasked")
            }
        }
    }

    // MARK: Out

    /// Appends frames in the encoding of the transport. A client masks afresh each time (RFC 6455, section 5.3).
    func append(_ payload: ByteBuffer, to buffer: inout ByteBuffer) {
        switch self {
        case .stream(_, let encoding):
            buffer.writeImmutableBuffer(payload)
            // A line ends with what stands between two frames elsewhere.
            encoding.appendSeparator(to: &buffer)
        case .webSocket(_, let encoding, let deflater?):
            WebSocketFrames.appendCompressed(encoding.opcode, payload, mask: .random(in: 0...(.max)), deflater: deflater, to: &buffer)
        case .webSocket(_, let encoding, nil):
            WebSocketFrames.append(encoding.opcode, payload, mask: .random(in: 0...(.max)), to: &buffer)
        }
    }

    func appendPong(_ ping: ByteBuffer, to buffer: inout ByteBuffer) {
        guard case .webSocket = self else { return }
        WebSocketFrames.appendPong(ping, mask: .random(in: 0...(.max)), to: &buffer)
    }

    /// The last bytes of this side. A stream has none: its end is the transport's.
    func appendClose(code: UInt16, to buffer: inout ByteBuffer) {
        guard case .webSocket = self else { return }
        WebSocketFrames.appendClose(code: code, mask: .random(in: 0...(.max)), to: &buffer)
    }
}
