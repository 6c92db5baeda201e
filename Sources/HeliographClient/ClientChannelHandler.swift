import NIOCore
import Wire

/// The client's half of the upgrade, then of the WebSocket: pings are answered, messages decoded, faults of the relay
/// end the connection with the code that names them.
final class ClientChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The answer to the upgrade must fit in here.
    static let headBytesMax = 16 << 10

    private enum Phase {
        case upgrading(key: String)
        case open
        /// Nothing that arrives is read any more.
        case closing
    }

    private let url: RelayURL
    private let encoding: FrameEncoding
    private let liveness: Liveness
    private let upgraded: EventLoopPromise<Void>
    private let closed: EventLoopPromise<DisconnectCause>
    private let onFrames: @Sendable ([RelayServerFrame]) -> Void
    private var phase = Phase.closing
    private var parser = WebSocketParser(role: .client, messageBytesMax: ClientConnection.messageBytesMax)
    private var inbox = ByteBuffer()
    private var cause: DisconnectCause?

    init(
        url: RelayURL, encoding: FrameEncoding, liveness: Liveness, upgraded: EventLoopPromise<Void>,
        closed: EventLoopPromise<DisconnectCause>, onFrames: @escaping @Sendable ([RelayServerFrame]) -> Void
    ) {
        self.url = url
        self.encoding = encoding
        self.liveness = liveness
        self.upgraded = upgraded
        self.closed = closed
        self.onFrames = onFrames
    }

    func channelActive(context: ChannelHandlerContext) {
        var random = SystemRandomNumberGenerator()
        let key = WebSocketHandshake.makeKey(using: &random)
        phase = .upgrading(key: key)
        var request = context.channel.allocator.buffer(capacity: 512)
        WebSocketHandshake.appendRequest(
            host: url.authority, path: url.path, key: key, subprotocols: encoding.subprotocol.map { [$0] } ?? [], to: &request)
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        liveness.received()
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        if case .upgrading(let key) = phase { upgrade(key, context) }
        if case .open = phase { readMessages(context) }
        if inbox.readableBytes == 0 { inbox = ByteBuffer() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        upgraded.fail(HeliographClientError.connectFailed("the server closed the connection"))
        closed.succeed(cause ?? .transport("the connection was closed"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.transport("\(error)"), context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let abort = event as? AbortEvent { end(abort.cause, context) }
    }

    // MARK: - The upgrade

    private func upgrade(_ key: String, _ context: ChannelHandlerContext) {
        do {
            guard let head = try HandshakeHead.take(from: &inbox, bytesMax: Self.headBytesMax) else { return }
            try check(head, key)
            phase = .open
            upgraded.succeed()
        } catch let error as HeliographClientError {
            refuse(error, context)
        } catch {
            refuse(.handshakeInvalid("\(error)"), context)
        }
    }

    /// RFC 6455, section 4.1, on the server's answer.
    private func check(_ head: HandshakeHead, _ key: String) throws(HeliographClientError) {
        guard let status = head.statusCode else { throw .handshakeInvalid("no HTTP answer") }
        guard status == 101 else { throw .handshakeRefused(status: status) }
        guard head.value("upgrade")?.lowercased() == "websocket" else { throw .handshakeInvalid("no upgrade to websocket") }
        guard head.value("sec-websocket-accept") == WebSocketHandshake.acceptKey(for: key) else {
            throw .handshakeInvalid("wrong Sec-WebSocket-Accept")
        }
        let agreed = head.value("sec-websocket-protocol")
        guard agreed == encoding.subprotocol || (agreed == nil && encoding == .json) else {
            throw .handshakeInvalid("the subprotocol \(encoding.subprotocol ?? "") was not accepted")
        }
    }

    private func refuse(_ error: HeliographClientError, _ context: ChannelHandlerContext) {
        upgraded.fail(error)
        end(.transport("\(error)"), context)
    }

    // MARK: - Messages

    private func readMessages(_ context: ChannelHandlerContext) {
        while case .open = phase, let event = parser.next(&inbox) {
            switch event {
            case .text(let payload): receive(payload, as: .json, context)
            case .binary(let payload): receive(payload, as: .protobuf, context)
            case .ping(let payload): answer(payload, context)
            case .pong: break
            case .close(let code, let reason):
                close(with: code ?? WebSocketCloseCode.normal, cause ?? .closeFrame(code: code, reason: reason), context)
            case .violation(let violation):
                close(with: violation.code, .transport("the server broke the WebSocket protocol: \(violation.reason)"), context)
            }
        }
    }

    private func receive(_ payload: ByteBuffer, as received: FrameEncoding, _ context: ChannelHandlerContext) {
        guard received == encoding else {
            return close(with: WebSocketCloseCode.unsupportedData, .transport("the server sent the wrong kind of message"), context)
        }
        do {
            let frames = try ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: ClientConnection.frameBytesMax)
            for frame in frames { noteGoodbye(frame) }
            onFrames(frames)
        } catch {
            close(with: WebSocketCloseCode.invalidPayload, .transport("the server sent a malformed frame"), context)
        }
    }

    /// A goodbye is the cause of whatever ends the connection after it.
    private func noteGoodbye(_ frame: RelayServerFrame) {
        guard case .goodbye(let goodbye) = frame.frame else { return }
        cause = .goodbye(code: goodbye.code, reason: goodbye.reason, afterMs: goodbye.afterMs, edges: goodbye.edges)
    }

    private func answer(_ ping: ByteBuffer, _ context: ChannelHandlerContext) {
        var pong = context.channel.allocator.buffer(capacity: WebSocketFrames.headerBytesMax + ping.readableBytes)
        WebSocketFrames.appendPong(ping, mask: .random(in: 0...(.max)), to: &pong)
        context.writeAndFlush(wrapOutboundOut(pong), promise: nil)
    }

    private func close(with code: UInt16, _ cause: DisconnectCause, _ context: ChannelHandlerContext) {
        var frame = context.channel.allocator.buffer(capacity: WebSocketFrames.headerBytesMax + 2)
        WebSocketFrames.appendClose(code: code, mask: .random(in: 0...(.max)), to: &frame)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        end(cause, context)
    }

    private func end(_ cause: DisconnectCause, _ context: ChannelHandlerContext) {
        if self.cause == nil { self.cause = cause }
        phase = .closing
        context.close(promise: nil)
    }
}
