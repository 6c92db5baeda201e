import NIOCore
import Wire

/// One connection: the upgrade, then every message back to where it came from.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The suite's largest message.
    private static let messageBytesMax = 16 << 20
    private static let headBytesMax = 16 << 10
    /// How long a peer may take to close its side.
    private static let closeTimeout = TimeAmount.seconds(5)

    private var parser: WebSocketParser?
    private var deflater: WebSocketDeflater?
    private var inbox = ByteBuffer()
    private var isClosing = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        var bytes = unwrapInboundIn(data)
        inbox.writeBuffer(&bytes)
        if parser == nil { upgrade(context) }
        while !isClosing, let event = parser?.next(&inbox) { handle(event, context) }
        inbox.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func upgrade(_ context: ChannelHandlerContext) {
        do {
            guard let head = try HandshakeHead.take(from: &inbox, bytesMax: Self.headBytesMax) else { return }
            guard let key = head.value("sec-websocket-key") else { return context.close(promise: nil) }
            let agreed = PermessageDeflate.accept(offers: head.values("sec-websocket-extensions"))
            deflater = agreed.map { WebSocketDeflater(windowBits: $0.serverWindowBits) }
            parser = WebSocketParser(
                role: .server, messageBytesMax: Self.messageBytesMax, inflater: agreed.map { _ in WebSocketInflater() })
            write(context) { WebSocketHandshake.appendResponse(key: key, subprotocol: nil, extensions: agreed?.responseHeader, to: &$0) }
        } catch {
            context.close(promise: nil)
        }
    }

    private func handle(_ event: WebSocketParser.Event, _ context: ChannelHandlerContext) {
        switch event {
        case .text(let payload): echo(.text, payload, context)
        case .binary(let payload): echo(.binary, payload, context)
        case .ping(let payload): write(context) { WebSocketFrames.appendPong(payload, to: &$0) }
        case .pong: break
        case .close(let code, _): close(code: code, reason: "", context)
        case .violation(let violation): close(code: violation.code, reason: violation.reason, context)
        }
    }

    private func echo(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        write(context) { frame in
            guard let deflater else { return WebSocketFrames.append(opcode, payload, to: &frame) }
            let start = WebSocketBatch.reserveHeader(in: &frame)
            frame.writeImmutableBuffer(payload)
            WebSocketBatch.sealCompressedFrame(in: &frame, start: start, opcode: opcode, deflater: deflater)
        }
    }

    /// Says goodbye and closes this side; the peer closes the other. Closing both at once could reset the connection before the
    /// peer has read the close frame.
    private func close(code: UInt16?, reason: String, _ context: ChannelHandlerContext) {
        isClosing = true
        write(context) { WebSocketFrames.appendClose(code: code, reason: reason, to: &$0) }
        context.flush()
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.closeTimeout) { channel.close(promise: nil) }
    }

    private func write(_ context: ChannelHandlerContext, _ build: (inout ByteBuffer) -> Void) {
        var buffer = context.channel.allocator.buffer(capacity: 256)
        build(&buffer)
        context.write(wrapOutboundOut(buffer), promise: nil)
    }
}
