import NIOCore
import Wire

/// Said to the handlers behind one that opens a transport, before their `channelActive`.
struct TransportOpened: Sendable {
    /// What was agreed on for a WebSocket.
    let deflate: PermessageDeflate?
}

/// The client's half of the upgrade to WebSocket (RFC 6455, section 4.1). The handlers behind it see a channel that becomes active when the
/// server has agreed, and the WebSocket's bytes; this one is gone then.
final class WebSocketUpgradeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The server's answer must fit in here.
    static let headBytesMax = 16 << 10

    private let url: RelayURL
    private let transport: ClientTransport
    private let format: WebSocketFormat
    private let key: String
    private var inbox = ByteBuffer()

    init(_ transport: ClientTransport, _ format: WebSocketFormat, url: RelayURL) {
        self.url = url
        self.transport = transport
        self.format = format
        var random = SystemRandomNumberGenerator()
        key = WebSocketHandshake.makeKey(using: &random)
    }

    func channelActive(context: ChannelHandlerContext) {
        var request = context.channel.allocator.buffer(capacity: 512)
        WebSocketHandshake.appendRequest(
            host: url.authority, path: url.target(defaultPath: transport.defaultPath), key: key,
            subprotocols: format.frames.subprotocol.map { [$0] } ?? [], extensions: format.compresses ? PermessageDeflate.offer : nil,
            to: &request)
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        inbox.writeBuffer(&bytes)
        do throws(HeliographClientError) {
            guard let head = try takeHead() else { return }
            open(TransportOpened(deflate: try check(head)), context)
        } catch {
            context.fireErrorCaught(error)
        }
    }

    private func takeHead() throws(HeliographClientError) -> HandshakeHead? {
        do {
            return try HandshakeHead.take(from: &inbox, bytesMax: Self.headBytesMax)
        } catch {
            throw .handshakeInvalid("\(error)")
        }
    }

    private func check(_ head: HandshakeHead) throws(HeliographClientError) -> PermessageDeflate? {
        guard let status = head.statusCode else { throw .handshakeInvalid("no HTTP answer") }
        guard status == 101 else { throw .handshakeRefused(status: status) }
        guard head.value("upgrade")?.lowercased() == "websocket" else { throw .handshakeInvalid("no upgrade to websocket") }
        guard head.value("sec-websocket-accept") == WebSocketHandshake.acceptKey(for: key) else {
            throw .handshakeInvalid("wrong Sec-WebSocket-Accept")
        }
        return try WebSocketAgreement.check(
            format, subprotocol: head.value("sec-websocket-protocol"), extensions: head.values("sec-websocket-extensions"))
    }

    private func open(_ opened: TransportOpened, _ context: ChannelHandlerContext) {
        let rest = inbox
        inbox = ByteBuffer()
        context.fireUserInboundEventTriggered(opened)
        context.fireChannelActive()
        if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}
