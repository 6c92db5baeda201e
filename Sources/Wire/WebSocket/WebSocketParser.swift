public import NIOCore

/// Reads the frames of one direction of a WebSocket and joins them to messages (RFC 6455, section 5). A value that
/// knows nothing of the transport: it serves TCP and HTTP/2 streams (RFC 8441) alike, in either role.
///
/// Feed it the bytes that have arrived and take events until it answers nil; what it does not take stays in the
/// buffer and must be there, with more behind it, at the next call. A frame is taken only when it is complete, so the
/// caller's buffer holds at most `messageBytesMax` + 14 bytes of an unfinished one. After `close` or `violation` the
/// parser is finished: it discards all bytes and yields nothing more.
///
/// The payload of an unfragmented message is a slice of the buffer, unmasked in place. Let go of it before the next
/// call: a slice that is kept makes the next unmasking copy the whole buffer.
///
/// With an inflater, messages may be compressed (RFC 7692, section 6). The limit then holds for what travels and for what comes
/// out of it, and the parser stays on the event loop of the inflater.
public struct WebSocketParser {
    /// Which end of the connection reads. A server demands masked frames, a client refuses them.
    public enum Role: Sendable { case server, client }

    public enum Event: Hashable, Sendable {
        case text(ByteBuffer)
        case binary(ByteBuffer)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        /// The code is nil if the peer gave none.
        case close(code: UInt16?, reason: String)
        case violation(WebSocketViolation)
    }

    /// A message with more empty frames than this is refused with 1009: they escape the limit on bytes. All others pay for it.
    public static let emptyFragmentsMax = 1024

    /// The most payload bytes of a message, all fragments together. Applies from the next frame on.
    public var messageBytesMax: Int

    private let role: Role
    private let inflater: WebSocketInflater?
    private var finished = false
    private var fragmentedKind: MessageKind?
    private var emptyFragmentCount: UInt16 = 0
    private var fragments = ByteBuffer()

    /// - Parameter inflater: given if permessage-deflate was negotiated; shared by the connections of an event loop.
    public init(role: Role, messageBytesMax: Int, inflater: WebSocketInflater? = nil) {
        self.role = role
        self.messageBytesMax = messageBytesMax
        self.inflater = inflater
    }

    /// Takes the next event from the front of `buffer`; nil means that more bytes are needed.
    public mutating func next(_ buffer: inout ByteBuffer) -> Event? {
        while !finished {
            do throws(WebSocketViolation) {
                guard let header = try FrameHeader(peekingAt: buffer, role: role, mayBeCompressed: inflater != nil) else { return nil }
                try check(header)
                guard buffer.readableBytes >= header.headerBytes + header.payloadBytes else { return nil }
                if let event = try take(header, from: &buffer) { return event }
            } catch {
                return finish(with: .violation(error), discarding: &buffer)
            }
        }
        buffer.moveReaderIndex(to: buffer.writerIndex)
        return nil
    }

    /// What must hold before a single byte of the payload is waited for.
    private func check(_ header: FrameHeader) throws(WebSocketViolation) {
        switch header.opcode {
        case .text, .binary:
            guard fragmentedKind == nil else { throw .messageInsideMessage }
        case .continuation:
            guard fragmentedKind != nil else { throw .strayContinuation }
            guard header.payloadBytes > 0 || emptyFragmentCount < Self.emptyFragmentsMax else { throw .tooManyEmptyFragments }
        case .ping, .pong, .close:
            return
        }
        guard header.payloadBytes <= messageBytesMax - fragments.readableBytes else { throw .messageTooLarge }
    }

    /// Consumes one complete frame; nil if it ended no message.
    private mutating func take(_ header: FrameHeader, from buffer: inout ByteBuffer) throws(WebSocketViolation) -> Event? {
        buffer.moveReaderIndex(forwardBy: header.headerBytes)
        if let key = header.maskKey, key != 0 { unmask(&buffer, key: key, bytes: header.payloadBytes) }
        let payload = buffer.readSlice(length: header.payloadBytes) ?? ByteBuffer()
        switch header.opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        case .close: return finish(with: try closeEvent(payload), discarding: &buffer)
        case .text, .binary, .continuation: return try join(header, payload)
        }
    }

    private mutating func join(_ header: FrameHeader, _ payload: ByteBuffer) throws(WebSocketViolation) -> Event? {
        if header.opcode != .continuation {
            let kind = MessageKind(isText: header.opcode == .text, isCompressed: header.isCompressed)
            if header.isFinal { return try message(kind, payload) }
            fragmentedKind = kind
            emptyFragmentCount = 0
        }
        if payload.readableBytes == 0 { emptyFragmentCount += 1 }
        fragments.writeImmutableBuffer(payload)
        guard header.isFinal, let kind = fragmentedKind else { return nil }
        let whole = fragments
        fragments = ByteBuffer()
        fragmentedKind = nil
        return try message(kind, whole)
    }

    private func message(_ kind: MessageKind, _ payload: ByteBuffer) throws(WebSocketViolation) -> Event {
        var payload = payload
        if kind.isCompressed, let inflater { payload = try inflater.inflate(payload, bytesMax: messageBytesMax) }
        guard kind.isText else { return .binary(payload) }
        guard payload.withUnsafeReadableBytes(isValidUTF8) else { throw .invalidText }
        return .text(payload)
    }

    /// RFC 6455, sections 5.5.1 and 7.4.
    private func closeEvent(_ payload: ByteBuffer) throws(WebSocketViolation) -> Event {
        var payload = payload
        guard payload.readableBytes > 0 else { return .close(code: nil, reason: "") }
        guard let code: UInt16 = payload.readInteger(), WebSocketCloseCode.mayBeReceived(code) else { throw .invalidCloseCode }
        guard payload.withUnsafeReadableBytes(isValidUTF8) else { throw .invalidCloseReason }
        return .close(code: code, reason: String(buffer: payload))
    }

    private mutating func finish(with event: Event, discarding buffer: inout ByteBuffer) -> Event {
        finished = true
        fragments = ByteBuffer()
        buffer.moveReaderIndex(to: buffer.writerIndex)
        return event
    }

    private func unmask(_ buffer: inout ByteBuffer, key: UInt32, bytes: Int) {
        buffer.withUnsafeMutableReadableBytes { readable in
            applyMask(key, to: UnsafeMutableRawBufferPointer(rebasing: readable[..<bytes]))
        }
    }
}

/// What the first frame says of its whole message.
private struct MessageKind {
    let isText: Bool
    let isCompressed: Bool
}

/// The bytes before a payload (RFC 6455, section 5.2).
struct FrameHeader {
    let isFinal: Bool
    /// RSV1 (RFC 7692, section 6).
    let isCompressed: Bool
    let opcode: WebSocketOpcode
    let payloadBytes: Int
    let headerBytes: Int
    /// The masking key, its first byte on the wire being the lowest.
    let maskKey: UInt32?

    /// Nil while the header is incomplete. Refuses what no later byte could make right.
    init?(peekingAt buffer: ByteBuffer, role: WebSocketParser.Role, mayBeCompressed: Bool) throws(WebSocketViolation) {
        let start = buffer.readerIndex
        guard let first: UInt8 = buffer.getInteger(at: start), let second: UInt8 = buffer.getInteger(at: start + 1) else { return nil }
        isCompressed = first & 0x40 != 0
        guard first & 0x30 == 0, !isCompressed || mayBeCompressed else { throw .reservedBits }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw .reservedOpcode }
        guard !isCompressed || opcode == .text || opcode == .binary else { throw .reservedBits }
        isFinal = first & 0x80 != 0
        self.opcode = opcode
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else { throw isMasked ? .maskedByServer : .unmaskedByClient }
        let shortLength = Int(second & 0x7F)
        guard !opcode.isControl || (isFinal && shortLength <= 125) else { throw isFinal ? .controlTooLong : .fragmentedControl }
        guard let (length, lengthBytes) = try Self.length(shortLength, in: buffer) else { return nil }
        payloadBytes = length
        headerBytes = 2 + lengthBytes + (isMasked ? 4 : 0)
        guard isMasked else {
            maskKey = nil
            return
        }
        guard let key: UInt32 = buffer.getInteger(at: start + 2 + lengthBytes, endianness: .little) else {
            // The length alone may already be too much: let the caller judge it before the key is here.
            maskKey = nil
            return
        }
        maskKey = key
    }

    /// The payload length and the number of extra bytes it took; nil while they are incomplete.
    private static func length(_ short: Int, in buffer: ByteBuffer) throws(WebSocketViolation) -> (Int, Int)? {
        let index = buffer.readerIndex + 2
        switch short {
        case 126:
            guard let length: UInt16 = buffer.getInteger(at: index) else { return nil }
            guard length > 125 else { throw .lengthNotMinimal }
            return (Int(length), 2)
        case 127:
            guard let length: UInt64 = buffer.getInteger(at: index) else { return nil }
            guard length > UInt64(UInt16.max) else { throw .lengthNotMinimal }
            guard length < 1 << 62 else { throw .messageTooLarge }
            return (Int(length), 8)
        default:
            return (short, 0)
        }
    }
}
