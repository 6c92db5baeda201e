import NIOCore
import TLS
import Wire

/// The last handler of every client's pipeline, whatever the transport: cuts what comes into frames and decodes them, frames what goes,
/// answers pings, and says why the connection ended.
///
/// Write frames in the encoding of the transport; close the output to end the session politely; trigger an `AbortEvent` to end it for a
/// reason of one's own.
final class SessionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case opening
        case open
        /// Nothing that arrives is read any more.
        case closing
    }

    /// How it went, for those who wait for it. Of two results a promise ignores the second.
    struct Outcome {
        let opened: EventLoopPromise<Void>
        let closed: EventLoopPromise<DisconnectCause>
    }

    private static let readBytesKept = 64 << 10

    private let transport: ClientTransport
    private let traffic: Traffic
    private let outcome: Outcome
    private let onFrames: @Sendable ([RelayServerFrame]) -> Void
    private var phase = Phase.opening
    private var framing: ClientFraming
    private var inbox = ByteBuffer()
    private var cause: DisconnectCause?

    init(_ transport: ClientTransport, traffic: Traffic, outcome: Outcome, onFrames: @escaping @Sendable ([RelayServerFrame]) -> Void) {
        self.transport = transport
        self.traffic = traffic
        self.outcome = outcome
        self.onFrames = onFrames
        framing = ClientFraming(transport, deflate: nil)
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        phase = .open
        outcome.opened.succeed()
    }

    func channelInactive(context: ChannelHandlerContext) {
        outcome.opened.fail(HeliographClientError.connectFailed("the server closed the connection"))
        outcome.closed.succeed(cause ?? .transport("the connection was closed"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let error = (error as? TLSFault).map(HeliographClientError.tls) ?? error
        outcome.opened.fail(error)
        end(DisconnectCause(error), context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let opened as TransportOpened: framing = ClientFraming(transport, deflate: opened.deflate)
        case let ending as CallEnding: cause = cause ?? .callEnded(status: ending.status, message: ending.message)
        case ChannelEvent.inputClosed: end(.transport("the server ended the stream"), context)
        default: break
        }
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = phase else { return }
        var bytes = unwrapInboundIn(data)
        traffic.received()
        // A relay whose frames never end with its packets would make this grow for ever.
        if inbox.readerIndex > max(Self.readBytesKept, inbox.readableBytes) { inbox.discardReadBytes() }
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        while case .open = phase, let event = framing.next(&inbox) { handle(event, context) }
        if inbox.readableBytes == 0 { inbox = ByteBuffer() }
    }

    private func handle(_ event: ClientFraming.Event, _ context: ChannelHandlerContext) {
        switch event {
        case .frames(let payload): receive(payload, context)
        case .ping(let payload): answer(payload, context)
        case .closed(let code, let reason):
            close(code: code ?? WebSocketCloseCode.normal, cause ?? .closeFrame(code: code, reason: reason), context)
        case .fault(let code, let reason): close(code: code, .transport(reason), context)
        }
    }

    private func receive(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        do throws(FrameFault) {
            let frames = try ServerFrameDecoder.decode(
                payload, encoding: transport.encoding, frameBytesMax: ClientFraming.frameBytesMax)
            for frame in frames { noteGoodbye(frame) }
            onFrames(frames)
        } catch {
            close(code: WebSocketCloseCode.invalidPayload, .transport("the server sent a malformed frame"), context)
        }
    }

    /// A goodbye is the cause of whatever ends the connection after it.
    private func noteGoodbye(_ frame: RelayServerFrame) {
        guard case .goodbye(let goodbye) = frame.frame else { return }
        cause = .goodbye(code: goodbye.code, reason: goodbye.reason, afterMs: goodbye.afterMs, edges: goodbye.edges)
    }

    /// A server that asks and does not read gets no more answers than the socket holds.
    private func answer(_ ping: ByteBuffer, _ context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        send(context) { framing.appendPong(ping, to: &$0) }
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .open = phase else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let payload = unwrapOutboundIn(data)
        var bytes = context.channel.allocator.buffer(capacity: WebSocketFrames.headerBytesMax + payload.readableBytes)
        framing.append(payload, to: &bytes)
        context.write(wrapOutboundOut(bytes), promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        guard !transport.isStream else { return context.close(mode: .output, promise: promise) }
        send(context) { framing.appendClose(code: WebSocketCloseCode.normal, to: &$0) }
        promise?.succeed()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let abort = event as? AbortEvent else { return context.triggerUserOutboundEvent(event, promise: promise) }
        end(abort.cause, context)
        promise?.succeed()
    }

    private func send(_ context: ChannelHandlerContext, _ append: (inout ByteBuffer) -> Void) {
        var bytes = context.channel.allocator.buffer(capacity: WebSocketFrames.headerBytesMax + WebSocketFrames.controlBytesMax)
        append(&bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: The end

    private func close(code: UInt16, _ cause: DisconnectCause, _ context: ChannelHandlerContext) {
        if !transport.isStream { send(context) { framing.appendClose(code: code, to: &$0) } }
        end(cause, context)
    }

    private func end(_ cause: DisconnectCause, _ context: ChannelHandlerContext) {
        if self.cause == nil { self.cause = cause }
        phase = .closing
        outcome.opened.fail(HeliographClientError.connectFailed("\(cause)"))
        context.close(promise: nil)
    }
}

/// Asks the handler to end the connection for a reason.
struct AbortEvent: Sendable {
    let cause: DisconnectCause
}
