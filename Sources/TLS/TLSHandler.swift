import MeshCore
import NIOCore

/// Said to the handlers behind a `TLSHandler` when the connection is there and the handshake begins.
public struct TLSHandshakeBegan: Hashable, Sendable {}

/// Said to the handlers behind a `TLSHandler`, before their `channelActive`.
public struct TLSHandshakeCompleted: Hashable, Sendable {
    public let handshake: TLSHandshake
}

/// Said when a peer closed the connection without close_notify: its last message may be cut.
public struct TLSTruncated: Hashable, Sendable {
    public init() {}
}

/// TLS in a pipeline. The handlers behind it see plaintext, and a channel that becomes active when the handshake is done; so
/// they need not know that there is TLS.
///
/// A fault is told by `errorCaught` with a `TLSFault`, after the alert was sent, and closes the channel. The peer's close_notify
/// closes it too, or, where half-closure is allowed, is told as `ChannelEvent.inputClosed`.
public final class TLSHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// What may wait for the handshake; more is an error of the writer.
    public static let heldBytesMax = 1 << 20

    private let session: TLSSession
    private let handshakeTimeout: TimeSpan
    private var timer: Scheduled<Void>?
    private var held: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []
    private var heldBytes = 0
    private var hasBegun = false
    private var isActive = false
    private var isInputClosed = false

    /// - Parameter handshakeTimeout: from the connection to the end of the handshake.
    public init(_ session: TLSSession, handshakeTimeout: TimeSpan) {
        self.session = session
        self.handshakeTimeout = handshakeTimeout
    }

    // MARK: The channel

    public func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        failHeld(ChannelError.ioOnClosedChannel)
    }

    public func channelActive(context: ChannelHandlerContext) { begin(context) }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(handshakeTimeout.nanoseconds)) { [handshakeTimeout] in
            self.fail(TLSFault(label: "handshake_timeout", text: "no handshake within \(handshakeTimeout)"), context)
        }
        context.fireUserInboundEventTriggered(TLSHandshakeBegan())
        var output = context.channel.allocator.buffer(capacity: 0)
        do throws(TLSFault) {
            try session.start(output: &output)
            send(output, context)
        } catch {
            fail(error, context)
        }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        failHeld(ChannelError.ioOnClosedChannel)
        tellTruncation(context)
        context.fireChannelInactive()
    }

    // MARK: Inbound

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var plaintext = context.channel.allocator.buffer(capacity: 0)
        var output = context.channel.allocator.buffer(capacity: 0)
        var fault: TLSFault?
        do throws(TLSFault) {
            try session.receive(unwrapInboundIn(data), plaintext: &plaintext, output: &output)
        } catch {
            fault = error
        }
        send(output, context)
        if !isActive, let handshake = session.handshake { becomeActive(handshake, context) }
        if plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
        if let fault { return fail(fault, context) }
        if session.peerHasClosed { closeInput(context) }
    }

    private func becomeActive(_ handshake: TLSHandshake, _ context: ChannelHandlerContext) {
        isActive = true
        timer?.cancel()
        // What was written early leaves before what is written now that the channel is active.
        let waiting = held
        (held, heldBytes) = ([], 0)
        for write in waiting { encrypt(write.bytes, promise: write.promise, context) }
        if !waiting.isEmpty { context.flush() }
        context.fireUserInboundEventTriggered(TLSHandshakeCompleted(handshake: handshake))
        context.fireChannelActive()
    }

    private func closeInput(_ context: ChannelHandlerContext) {
        guard !isInputClosed else { return }
        isInputClosed = true
        let isHalfClosureAllowed = try? context.channel.syncOptions?.getOption(.allowRemoteHalfClosure)
        guard isHalfClosureAllowed == true else { return close(context: context, mode: .all, promise: nil) }
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        // After close_notify this has been told.
        guard !isInputClosed else { return }
        tellTruncation(context)
        guard isActive else { return fail(.truncated, context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func tellTruncation(_ context: ChannelHandlerContext) {
        guard isActive, !isInputClosed else { return }
        isInputClosed = true
        context.fireUserInboundEventTriggered(TLSTruncated())
    }

    private func fail(_ fault: TLSFault, _ context: ChannelHandlerContext) {
        timer?.cancel()
        failHeld(fault)
        // What the peer sent ends with the fault, which is told; that it may be cut goes without saying.
        isInputClosed = true
        context.fireErrorCaught(fault)
        context.close(promise: nil)
    }

    // MARK: Outbound

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        guard !isActive else { return encrypt(bytes, promise: promise, context) }
        guard heldBytes + bytes.readableBytes <= Self.heldBytesMax else {
            promise?.fail(TLSFault.notReady)
            return fail(.notReady, context)
        }
        heldBytes += bytes.readableBytes
        held.append((bytes, promise))
    }

    private func encrypt(_ bytes: ByteBuffer, promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext) {
        var output = context.channel.allocator.buffer(capacity: 0)
        do throws(TLSFault) {
            try bytes.withUnsafeReadableBytes { bytes throws(TLSFault) in try session.encrypt(bytes, output: &output) }
            context.write(wrapOutboundOut(output), promise: promise)
        } catch {
            promise?.fail(error)
        }
    }

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input {
            var output = context.channel.allocator.buffer(capacity: 0)
            session.close(output: &output)
            send(output, context)
        }
        context.close(mode: mode, promise: promise)
    }

    private func send(_ output: ByteBuffer, _ context: ChannelHandlerContext) {
        guard output.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
    }

    private func failHeld(_ error: any Error) {
        let waiting = held
        (held, heldBytes) = ([], 0)
        for write in waiting { write.promise?.fail(error) }
    }
}
