import HTTP2
import MeshCore
import NIOCore
import TLS

/// An HTTP/2 connection (RFC 9113) that carries one stream. The handlers behind it see a channel that becomes active when the server has
/// opened the stream, and the stream's bytes; when they close its output the stream is ended (END_STREAM).
///
/// Tells `CallEnding` for a gRPC call's trailers and `ChannelEvent.inputClosed` for the end of the server's half.
final class HTTP2StreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Until the server's settings say whether it takes extended CONNECTs (RFC 8441, section 3).
        case awaitingSettings
        case asking
        case open
        case over
    }

    /// Bytes that are collected for one write.
    private static let outputBytesMax = 64 << 10

    private let request: StreamRequest
    private let session: HTTP2Session
    private let outbox = StreamOutbox()
    private var phase = Phase.awaitingSettings
    private var stream: Int32?
    private var isBusy = false
    private var isPumpDue = false

    init(_ request: StreamRequest) {
        self.request = request
        session = HTTP2Session(role: .client, limits: Self.limits, now: Self.now())
    }

    /// A server frame has at most 1 MiB, so one may be on its way whole: what has come is taken at once, and bounded where frames are cut.
    private static var limits: HTTP2Limits {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 1 << 20
        limits.connectionWindowBytes = 1 << 20
        return limits
    }

    private static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        guard case .awaitingSettings = phase else { return }
        if !request.isExtendedConnect { ask(context) }
        pump(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        phase = .over
        outbox.failAll(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let secured = event as? TLSHandshakeCompleted, secured.handshake.alpn != request.transport.applicationProtocol {
            return fail(HeliographClientError.handshakeInvalid("the server did not agree to speak HTTP/2 (ALPN h2)"), context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { pump(context) }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .over = phase { return }
        isBusy = true
        do throws(HTTP2Fault) {
            for event in try session.receive(unwrapInboundIn(data), now: Self.now()) { handle(event, context) }
            isBusy = false
        } catch {
            isBusy = false
            fail(refusal(error), context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        pump(context)
        context.fireChannelReadComplete()
    }

    /// Before the stream is open it is the server that does not speak HTTP/2, afterwards it does so badly.
    private func refusal(_ fault: HTTP2Fault?) -> any Error {
        if case .open = phase { return StreamLost.broken }
        return HeliographClientError.handshakeInvalid("the server does not speak HTTP/2\(fault.map { ": \($0)" } ?? "")")
    }

    private func handle(_ event: HTTP2Event, _ context: ChannelHandlerContext) {
        if case .over = phase { return }
        switch event {
        case .settings: settled(context)
        case .headers(_, let headers, let endsStream):
            received(headers, context)
            if endsStream { peerEnded(context) }
        case .data(let id, let bytes):
            session.consumeConnection(bytes: bytes.readableBytes)
            session.consume(stream: id, bytes: bytes.readableBytes)
            if case .open = phase { context.fireChannelRead(wrapInboundOut(bytes)) }
        case .endOfStream: peerEnded(context)
        case .streamClosed(_, let code): if code != HTTP2ErrorCode.noError.rawValue { fail(StreamLost.reset(code), context) }
        // Without a fault the stream may go on; if it may not, it is closed too.
        case .goaway(_, let code): if code != HTTP2ErrorCode.noError.rawValue { fail(StreamLost.goaway(code), context) }
        case .invalidFrame: break
        }
    }

    private func settled(_ context: ChannelHandlerContext) {
        guard case .awaitingSettings = phase else { return }
        guard session.peerAllowsExtendedConnect else {
            return fail(HeliographClientError.handshakeInvalid("the server takes no WebSockets over HTTP/2 (RFC 8441)"), context)
        }
        ask(context)
    }

    private func ask(_ context: ChannelHandlerContext) {
        phase = .asking
        stream = session.request(request.headers, body: outbox)
        if stream == nil { fail(HeliographClientError.handshakeInvalid("no stream can be opened"), context) }
    }

    private func received(_ headers: HTTP2Headers, _ context: ChannelHandlerContext) {
        if case .open = phase {
            if let ending = CallEnding(headers) { context.fireUserInboundEventTriggered(ending) }
            return
        }
        // An interim answer (RFC 9110, section 15.2) is none.
        guard headers[":status"]?.hasPrefix("1") != true else { return }
        do throws(HeliographClientError) {
            let deflate = try request.check(headers)
            phase = .open
            context.fireUserInboundEventTriggered(TransportOpened(deflate: deflate))
            context.fireChannelActive()
        } catch {
            fail(error, context)
        }
    }

    private func peerEnded(_ context: ChannelHandlerContext) {
        switch phase {
        case .open: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .awaitingSettings, .asking: fail(HeliographClientError.connectFailed("the server ended the stream"), context)
        case .over: break
        }
    }

    /// Tells the GOAWAY that the session has for the server, then the error.
    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        if case .over = phase { return }
        finish(context)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .open = phase, !outbox.isEnded else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        outbox.append(unwrapOutboundIn(data), promise: promise)
    }

    func flush(context: ChannelHandlerContext) { resume(context) }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .output:
            outbox.isEnded = true
            resume(context)
            promise?.succeed()
        case .input: promise?.fail(ChannelError.operationUnsupported)
        case .all:
            finish(context)
            context.close(promise: promise)
        }
    }

    private func resume(_ context: ChannelHandlerContext) {
        guard let stream else { return }
        session.resume(stream: stream)
        pump(context)
    }

    /// Writes what there is, as long as the channel takes it. Never from within a call that reads or writes already: that one goes on.
    private func pump(_ context: ChannelHandlerContext) {
        isPumpDue = true
        guard !isBusy else { return }
        while isPumpDue {
            isPumpDue = false
            if case .over = phase { return }
            isBusy = true
            let error = pumpOnce(context)
            isBusy = false
            if let error { return fail(error, context) }
        }
    }

    private func pumpOnce(_ context: ChannelHandlerContext) -> (any Error)? {
        do throws(HTTP2Fault) {
            repeat { try session.fill(bytesMax: Self.outputBytesMax) } while write(context) && context.channel.isWritable
        } catch {
            return refusal(error)
        }
        for promise in outbox.takeFinished() { promise.succeed() }
        for event in session.takeEvents() { handle(event, context) }
        // The session has ended itself over what the server sent.
        if case .over = phase { return nil }
        return session.isOver ? refusal(nil) : nil
    }

    /// False when there was nothing to write.
    private func write(_ context: ChannelHandlerContext) -> Bool {
        guard session.output.readableBytes > 0 else { return false }
        context.writeAndFlush(wrapOutboundOut(session.output), promise: nil)
        session.output = ByteBuffer()
        return true
    }

    /// Sends what the windows allow, ends the stream, and says that no other follows.
    private func finish(_ context: ChannelHandlerContext) {
        if case .over = phase { return }
        phase = .over
        outbox.isEnded = true
        if let stream { session.resume(stream: stream) }
        try? session.fill(bytesMax: Self.outputBytesMax)
        session.terminate(.noError)
        try? session.fill(bytesMax: 2 * Self.outputBytesMax)
        _ = write(context)
        outbox.failAll(ChannelError.ioOnClosedChannel)
    }
}

/// The server gave the stream, or the whole connection, up.
enum StreamLost: Error, CustomStringConvertible {
    case reset(UInt32)
    case goaway(UInt32)
    case broken

    var description: String {
        switch self {
        case .reset(let code): "the server reset the stream: \(Self.name(code))"
        case .goaway(let code): "the server ended the HTTP/2 connection: \(Self.name(code))"
        case .broken: "the server broke the HTTP/2 protocol"
        }
    }

    private static func name(_ code: UInt32) -> String { HTTP2ErrorCode(rawValue: code).map { "\($0)" } ?? "error \(code)" }
}
