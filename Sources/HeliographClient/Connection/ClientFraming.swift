import NIOCore
import Wire

/// How the frames of a session are cut out of a transport's bytes, and put into them. Lives on one event loop.
struct ClientFraming {
    /// One of the two is set, and changed in place: a copy would be paid for with the fragments that it holds.
    private var parser: WebSocketParser?
    private var framing: StreamFraming?
    private let encoding: FrameEncoding
    private let deflater: WebSocketDeflater?

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
        encoding = transport.encoding
        deflater = deflate == nil ? nil : WebSocketDeflater(windowBits: WebSocketDeflater.windowBitsRange.upperBound)
        if transport.isStream {
            framing = StreamFraming(encoding, frameBytesMax: Self.frameBytesMax)
        } else {
            let inflater = deflate == nil ? nil : WebSocketInflater()
            parser = WebSocketParser(role: .client, messageBytesMax: Self.messageBytesMax, inflater: inflater)
        }
    }

    /// Takes the next event from the front of `inbox`; nil means that more bytes are needed. What is not taken must be there, with more
    /// behind it, at the next call.
    mutating func next(_ inbox: inout ByteBuffer) -> Event? {
        if framing != nil { return nextFrame(&inbox) }
        while let event = parser?.next(&inbox) {
            if let event = meaning(of: event) { return event }
        }
        return nil
    }

    /// Nil for what needs no answer.
    private func meaning(of event: WebSocketParser.Event) -> Event? {
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

    private mutating func nextFrame(_ inbox: inout ByteBuffer) -> Event? {
        do throws(StreamFraming.Fault) {
            return try framing?.next(&inbox).map { .frames($0) }
        } catch {
            switch error {
            case .tooLarge:
                return .fault(code: WebSocketCloseCode.messageTooBig, "the server sent a frame above \(Self.frameBytesMax) bytes")
            case .compressed: return .fault(code: WebSocketCloseCode.protocolError, "the server sent a compressed message unasked")
            }
        }
    }

    // MARK: Out

    /// Appends frames in the encoding of the transport. A client masks afresh each time (RFC 6455, section 5.3).
    func append(_ payload: ByteBuffer, to buffer: inout ByteBuffer) {
        if framing != nil {
            buffer.writeImmutableBuffer(payload)
            // A line ends with what stands between two frames elsewhere.
            encoding.appendSeparator(to: &buffer)
        } else if let deflater {
            WebSocketFrames.appendCompressed(encoding.opcode, payload, mask: .random(in: 0...(.max)), deflater: deflater, to: &buffer)
        } else {
            WebSocketFrames.append(encoding.opcode, payload, mask: .random(in: 0...(.max)), to: &buffer)
        }
    }

    func appendPong(_ ping: ByteBuffer, to buffer: inout ByteBuffer) {
        guard parser != nil else { return }
        WebSocketFrames.appendPong(ping, mask: .random(in: 0...(.max)), to: &buffer)
    }

    /// The last bytes of this side. A stream has none: its end is the transport's.
    func appendClose(code: UInt16, to buffer: inout ByteBuffer) {
        guard parser != nil else { return }
        WebSocketFrames.appendClose(code: code, mask: .random(in: 0...(.max)), to: &buffer)
    }
}
