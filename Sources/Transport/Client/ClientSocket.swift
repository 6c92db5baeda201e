import MeshCore
import NIOCore
import TLS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a socket tells whoever has taken it over. Called on its event loop.
protocol ClientSocketReceiver: AnyObject {
    /// Whoever keeps some of the bytes copies them: what they are read into is used again.
    func socketReceived(_ bytes: ByteBuffer)
    /// No more bytes for now: a good moment to answer.
    func socketReadComplete()
    /// Nothing waits in this process any more.
    func socketDrained()
    /// The last call.
    func socketEnded()
}

/// The bottom of every client connection's pipeline, and the one place that puts bytes on its descriptor. It finds out what the client speaks,
/// does TLS if that is it, and hands the connection to what the acceptor says. After that bytes go past the pipeline, both ways.
///
/// Outbound bytes go straight to the descriptor while NIO holds none of ours. What the kernel does not take is handed to NIO, and until NIO
/// has written it everything else is handed to NIO too, so bytes never overtake each other. With TLS it is the records that are sent so.
///
/// The descriptor is used only between `channelActive` and `channelInactive`. NIO closes it in `close0` and calls `channelInactive` in the
/// same turn; in between it only completes promises of this channel, and ours never send (`wrote` checks `descriptor` after NIO reported
/// the failure, and a failed write only closes). So a number that the kernel has given to somebody else is never written to.
final class ClientSocket: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case sniffing(ByteBuffer)
        case handshaking
        case open
        /// What comes in is of no interest any more; our half is, or will be, closed.
        case finishing
        case closed
    }

    /// How long a peer may take to close its half after ours.
    private static let lingerMost = TimeAmount.seconds(2)

    let eventLoop: any EventLoop
    let tools: ConnectionTools
    private let remoteAddress: SocketAddress?
    /// What the connection counts for; nil if it has no address.
    let address: AddressLimit.Key?
    /// Set once the connection has left HTTP/1.1 behind.
    var receiver: (any ClientSocketReceiver)?
    /// While HTTP/1.1's handlers still hold bytes that they have read.
    var readsThroughPipeline = true
    /// Bytes that NIO holds.
    private(set) var pendingBytes = 0
    /// When the bytes that wait began to, or when the kernel last took all of a piece of them.
    private(set) var progressAt = NIODeadline.now()
    /// The kernel refused a send for good.
    private(set) var hasFailed = false

    private let acceptor: ClientAcceptor
    private var context: ChannelHandlerContext?
    private var descriptor: CInt = -1
    private var phase = Phase.sniffing(ByteBuffer())
    private var tls: TLSSession?
    private var timer: Scheduled<Void>?
    private var isFlushScheduled = false

    init(channel: any Channel, acceptor: ClientAcceptor, address: AddressLimit.Key?) {
        self.address = address
        eventLoop = channel.eventLoop
        tools = acceptor.front.tools
        remoteAddress = channel.remoteAddress
        self.acceptor = acceptor
    }

    var isOpen: Bool { descriptor >= 0 && !hasFailed }
    /// Of the peer, for the log.
    var peer: String { remoteAddress?.description ?? "unknown" }

    // MARK: Lifecycle

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        arm(acceptor.settings.handshakeTimeout) { socket in
            socket.acceptor.front.countDrop(.handshakeTimeout)
            socket.closeNow()
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { descriptor = $0 }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if receiver == nil { context.fireErrorCaught(error) } else { closeNow() }
    }

    private func end() {
        guard context != nil else { return }
        descriptor = -1
        context = nil
        phase = .closed
        timer?.cancel()
        timer = nil
        tls = nil
        let receiver = receiver
        self.receiver = nil
        receiver?.socketEnded()
        acceptor.closed(self)
    }

    private func arm(_ span: TimeSpan, _ body: @escaping (ClientSocket) -> Void) {
        timer?.cancel()
        timer = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(span.nanoseconds)) { body(self) }
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        defer { SharedReads.giveBack(bytes, to: tools.readBuffer) }
        switch phase {
        case .sniffing(var earlier):
            phase = .sniffing(ByteBuffer())
            earlier.writeImmutableBuffer(bytes)
            phase = .sniffing(earlier)
            try? context.channel.syncOptions?.setOption(.maxMessagesPerRead, value: SharedReads.laterReadsAtOnce)
        case .handshaking, .open:
            if tls == nil { deliver(bytes) } else { decrypt(bytes) }
        case .finishing, .closed: break
        }
    }

    /// What a connection speaks is looked at when its first bytes are all here, so that whoever serves it gets them in one piece.
    func channelReadComplete(context: ChannelHandlerContext) {
        if case .sniffing(let bytes) = phase, bytes.readableBytes > 0 { sniff(bytes) }
        if let receiver, !readsThroughPipeline { receiver.socketReadComplete() } else { context.fireChannelReadComplete() }
    }

    private func sniff(_ bytes: ByteBuffer) {
        switch ProtocolSniffer.classify(bytes) {
        case .undecided: break
        case .tls: startTLS(bytes)
        case let verdict where acceptor.refusesPlaintext: refusePlaintext(verdict)
        case .http2: identified(.http2, bytes)
        case .http1: identified(.http1, bytes)
        }
    }

    private func identified(_ version: HTTPVersionSpoken, _ bytes: ByteBuffer) {
        guard let context else { return }
        phase = .open
        timer?.cancel()
        timer = nil
        acceptor.identified(version, self, context)
        if bytes.readableBytes > 0 { deliver(bytes) }
    }

    private func deliver(_ bytes: ByteBuffer) {
        if let receiver, !readsThroughPipeline {
            receiver.socketReceived(bytes)
        } else {
            // HTTP/1.1's handlers keep what is not complete.
            context?.fireChannelRead(wrapInboundOut(ByteBuffer(buffer: bytes)))
        }
    }

    // MARK: TLS

    private func startTLS(_ bytes: ByteBuffer) {
        guard let tlsContext = acceptor.tlsContext() else {
            acceptor.front.countDrop(.badHandshake)
            return finish(with: ByteBuffer(bytes: Refusals.alert))
        }
        tls = TLSSession(tlsContext)
        phase = .handshaking
        decrypt(bytes)
    }

    private func refusePlaintext(_ verdict: ProtocolSniffer.Verdict) {
        acceptor.front.countDrop(.plaintextRefused)
        finish(with: ByteBuffer(bytes: verdict == .http2 ? Refusals.http2 : Refusals.http1))
    }

    private func decrypt(_ bytes: ByteBuffer) {
        guard let tls else { return }
        var plaintext = ByteBuffer()
        var output = tools.takeBuffer()
        defer { tools.giveBack(output) }
        do throws(TLSFault) {
            try tls.receive(bytes, plaintext: &plaintext, output: &output)
        } catch {
            acceptor.faulted(error, self)
            return finish(with: output)
        }
        output.withUnsafeReadableBytes(put)
        if case .handshaking = phase, let handshake = tls.handshake {
            acceptor.secured(handshake)
            identified(handshake.alpn == "h2" ? .http2 : .http1, ByteBuffer())
        }
        if plaintext.readableBytes > 0 { deliver(plaintext) }
        guard tls.peerHasClosed else { return }
        // What was asked before the end is answered as far as it can be at once.
        receiver?.socketReadComplete()
        finish()
    }

    // MARK: Outbound

    /// What HTTP/1.1's handlers write.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        guard tls != nil else { return hand(bytes, to: context, promise) }
        var output = ByteBuffer()
        guard bytes.withUnsafeReadableBytes({ encrypt($0, into: &output) }) else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        hand(output, to: context, promise)
    }

    /// HTTP/1.1's handlers close.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if let tls, mode == .all {
            var output = ByteBuffer()
            tls.close(output: &output)
            output.withUnsafeReadableBytes(put)
        }
        context.close(mode: mode, promise: promise)
    }

    /// Sends straight from the caller's bytes; what the kernel does not take is kept and follows. `pendingBytes` tells how much that is.
    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer) {
        if tls == nil { put(bytes) } else { sendEncrypted(bytes) }
    }

    @inline(never)
    private func sendEncrypted(_ bytes: UnsafeRawBufferPointer) {
        var output = tools.takeBuffer()
        if encrypt(bytes, into: &output) { output.withUnsafeReadableBytes(put) }
        tools.giveBack(consume output)
    }

    private func encrypt(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) -> Bool {
        guard let tls, isOpen else { return false }
        do throws(TLSFault) {
            try tls.encrypt(bytes, output: &output)
            return true
        } catch {
            hasFailed = true
            return false
        }
    }

    /// Puts bytes on the wire as they are.
    @inline(__always)
    private func put(_ bytes: UnsafeRawBufferPointer) {
        guard descriptor >= 0, !hasFailed, !bytes.isEmpty else { return }
        let sent = pendingBytes > 0 ? 0 : sendDirectly(bytes)
        if sent < bytes.count { handRest(bytes, from: sent) }
    }

    /// Bytes that the kernel took. Sets `hasFailed` for an error that does not pass.
    @inline(__always)
    private func sendDirectly(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = sendToKernel(descriptor, bytes)
            if count >= 0 {
                tools.meter.sends += 1
                tools.meter.bytes += UInt64(count)
                if count < bytes.count { tools.meter.partialSends += 1 }
                return count
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, EWOULDBLOCK: return 0
            default:
                hasFailed = true
                return 0
            }
        }
    }

    @inline(never)
    private func handRest(_ bytes: UnsafeRawBufferPointer, from sent: Int) {
        guard let context, !hasFailed else { return }
        hand(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[sent...])), to: context, nil)
        flushSoon()
    }

    /// Not at once: a flush can complete, and tell the receiver so, or fail, and end its session, and whoever sends may be walking over
    /// all sessions of a room.
    private func flushSoon() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute {
            bound.value.isFlushScheduled = false
            bound.value.context?.flush()
        }
    }

    private func hand(_ bytes: ByteBuffer, to context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        if pendingBytes == 0 { progressAt = .now() }
        pendingBytes += bytes.readableBytes
        let promise = promise ?? eventLoop.makePromise()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        promise.futureResult.whenComplete { result in bound.value.wrote(bytes.readableBytes, result) }
        context.write(wrapOutboundOut(bytes), promise: promise)
    }

    private func wrote(_ bytes: Int, _ result: Result<Void, any Error>) {
        pendingBytes -= bytes
        progressAt = .now()
        guard pendingBytes == 0, case .success = result, descriptor >= 0 else { return }
        if case .finishing = phase { closeOutput() } else { receiver?.socketDrained() }
    }

    // MARK: Closing

    /// What was sent leaves; then our half is closed, and the peer has a moment to close its own: closing with unread input would reset the
    /// connection, and take our last words with it.
    func finish() {
        switch phase {
        case .finishing, .closed: return
        case .sniffing, .handshaking, .open: phase = .finishing
        }
        guard descriptor >= 0 else { return }
        var output = ByteBuffer()
        tls?.close(output: &output)
        output.withUnsafeReadableBytes(put)
        arm(TimeSpan(nanoseconds: Self.lingerMost.nanoseconds)) { $0.closeNow() }
        if pendingBytes == 0 { closeOutput() }
    }

    private func finish(with lastWords: ByteBuffer) {
        lastWords.withUnsafeReadableBytes(put)
        finish()
    }

    private func closeOutput() { context?.close(mode: .output, promise: nil) }

    func closeNow() { context?.close(promise: nil) }
}

/// Outside of the class, whose own `send` hides the system's.
@inline(__always)
private func sendToKernel(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
    send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
}

/// The two versions of HTTP that the client listener speaks.
enum HTTPVersionSpoken: Hashable {
    case http1
    case http2
}
