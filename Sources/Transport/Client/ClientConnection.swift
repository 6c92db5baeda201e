import MeshCore
import NIOCore
import Wire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a connection tells its session. Called on the connection's event loop.
public protocol ClientConnectionDelegate: AnyObject {
    /// One WebSocket message in the connection's encoding.
    func connectionReceived(_ payload: ByteBuffer)
    /// The peer broke RFC 6455; the connection closes itself with the matching code.
    func connectionViolated(_ violation: WebSocketViolation)
    /// More than the outbox limit waits for the peer.
    func connectionIsSlow()
    /// Bytes came in: the peer lives.
    func connectionHeard()
    /// The last call. `clean`: the peer closed with a close frame.
    func connectionEnded(clean: Bool)
}

/// What a cell measures about its sends. One per cell, shared by its connections.
public final class SendMeter {
    public fileprivate(set) var sends: UInt64 = 0
    public fileprivate(set) var bytes: UInt64 = 0
    public fileprivate(set) var partialSends: UInt64 = 0
    public init() {}
}

/// One WebSocket connection after its upgrade: the only handler left in the pipeline.
///
/// Outbound bytes go straight to the descriptor while NIO holds none of ours. What the kernel does not take is handed to NIO, and until NIO
/// has written it everything else waits in the outbox, so bytes never overtake each other.
///
/// The descriptor is used only between `handlerAdded` and `channelInactive`. NIO closes it in `close0` and calls `channelInactive` in the
/// same turn; in between it only completes promises of this channel, and ours never send (`wrote` checks `descriptor` after NIO reported
/// the failure, and a failed write only closes). So a number that the kernel has given to somebody else is never written to.
public final class ClientConnection: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    public let encoding: FrameEncoding
    public let eventLoop: any EventLoop
    /// The address of the peer, for the log.
    public let peer: String
    public weak var delegate: (any ClientConnectionDelegate)?

    /// Whether the cell has this connection on its list of those to flush at the end of the tick.
    public var isQueuedForFlush = false
    /// Of the last tick in which a room had something for this connection; see `touch`.
    private var touchedTick: UInt64 = 0
    private var isCorked = false

    private static let sendFlags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)

    private var context: ChannelHandlerContext?
    private var descriptor: CInt = -1
    private var parser: WebSocketParser
    private var unread: ByteBuffer?
    private var outbox = FrameBatch()
    /// Bytes that NIO holds.
    private var writing = 0
    private var isClosing = false
    /// The kernel refused a send for good. Closed at the next flush, never in the middle of a fan-out that walks over this connection.
    private var hasFailed = false
    private var peerClosed = false
    private var reportedSlow = false
    private let outboxBytesMax: Int
    private let meter: SendMeter

    public init(
        encoding: FrameEncoding, channel: any Channel, meter: SendMeter, helloBytesMax: Int, outboxBytesMax: Int
    ) {
        self.meter = meter
        self.encoding = encoding
        self.outboxBytesMax = outboxBytesMax
        eventLoop = channel.eventLoop
        peer = channel.remoteAddress?.description ?? "unknown"
        parser = WebSocketParser(role: .server, messageBytesMax: helloBytesMax)
    }

    /// After hello messages are smaller.
    public func limitMessages(to bytes: Int) { parser.messageBytesMax = bytes }

    public var isOpen: Bool { descriptor >= 0 && !isClosing && !hasFailed }
    /// Bytes that wait for the peer in this process.
    public var waitingBytes: Int { outbox.bytes + writing }

    // MARK: Lifecycle

    public func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard context.channel.isActive else { return }
        try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { descriptor = $0 }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    public func handlerRemoved(context: ChannelHandlerContext) { end() }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) { closeNow() }

    private func end() {
        descriptor = -1
        isClosing = true
        guard context != nil else { return }
        context = nil
        unread = nil
        delegate?.connectionEnded(clean: peerClosed)
        delegate = nil
    }

    // MARK: Inbound

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        delegate?.connectionHeard()
        if var earlier = unread {
            unread = nil
            earlier.writeBuffer(&buffer)
            buffer = earlier
        }
        while !peerClosed, descriptor >= 0, let event = parser.next(&buffer) { handle(event) }
        if buffer.readableBytes > 0, !peerClosed, descriptor >= 0 { unread = buffer }
    }

    private func handle(_ event: WebSocketParser.Event) {
        switch event {
        case .text(let payload): receive(payload, as: .json)
        case .binary(let payload): receive(payload, as: .protobuf)
        case .ping(let payload): control { WebSocketFrames.appendPong(payload, to: &$0) }
        case .pong: break
        case .close(let code, _):
            peerClosed = true
            if isClosing { closeNow() } else { close(code: code ?? 1000, reason: "") }
        case .violation(let violation):
            violated(violation)
        }
    }

    private func receive(_ payload: ByteBuffer, as received: FrameEncoding) {
        guard received == encoding else { return violated(.unexpectedType) }
        guard !isClosing else { return }
        delegate?.connectionReceived(payload)
    }

    private func violated(_ violation: WebSocketViolation) {
        guard !isClosing else { return closeNow() }
        delegate?.connectionViolated(violation)
        close(code: violation.code, reason: violation.reason)
    }

    // MARK: Outbound, for this connection alone

    /// Adds one message to the outbox; `flush` sends it. The cell must be told (`isQueuedForFlush`).
    public func append(_ write: (inout ByteBuffer) -> Void) {
        guard isOpen else { return }
        outbox.append(encoding, write)
        checkLimit()
    }

    public func ping() { control { WebSocketFrames.appendPing(to: &$0) } }

    private func control(_ write: (inout ByteBuffer) -> Void) {
        guard isOpen else { return }
        outbox.appendControl(encoding, write)
        checkLimit()
        flush()
    }

    private func checkLimit() {
        guard waitingBytes > outboxBytesMax, !reportedSlow else { return }
        reportedSlow = true
        delegate?.connectionIsSlow()
    }

    /// Sends the outbox, unless NIO still holds bytes of ours: then it follows when they are written.
    public func flush() {
        isCorked = false
        if hasFailed { return closeNow() }
        guard writing == 0, descriptor >= 0, !outbox.isEmpty else { return }
        let bytes = outbox.take(encoding)
        let sent = bytes.withUnsafeReadableBytes { sendDirectly($0) }
        if hasFailed { return closeNow() }
        if sent < bytes.readableBytes {
            handToNIO(bytes.getSlice(at: bytes.readerIndex + sent, length: bytes.readableBytes - sent) ?? bytes)
        }
    }

    // MARK: Outbound, shared: the fan-out path

    /// Says that a room has a batch for this connection in this tick. The second room of a tick corks it: its batches are collected in the
    /// outbox and leave in one send.
    @inline(__always)
    public func touch(tick: UInt64) {
        isCorked = touchedTick == tick
        touchedTick = tick
    }

    /// Sends a batch straight from the shared buffer. True if it was put into the outbox instead, and the connection has to be flushed.
    @inline(__always)
    public func deliver(_ batch: UnsafeRawBufferPointer) -> Bool {
        guard descriptor >= 0, !isClosing, !hasFailed else { return false }
        if isCorked || writing > 0 || !outbox.isEmpty {
            outbox.append(frames: batch, encoding)
            checkLimit()
            return true
        }
        let sent = sendDirectly(batch)
        if hasFailed { return true }
        if sent < batch.count { handRest(batch, from: sent) }
        return false
    }

    /// Bytes that the kernel took. Sets `hasFailed` for an error that does not pass.
    @inline(__always)
    private func sendDirectly(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = send(descriptor, bytes.baseAddress, bytes.count, Self.sendFlags)
            if count >= 0 {
                meter.sends += 1
                meter.bytes += UInt64(count)
                if count < bytes.count { meter.partialSends += 1 }
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
    private func handRest(_ batch: UnsafeRawBufferPointer, from sent: Int) {
        handToNIO(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: batch[sent...])))
    }

    private func handToNIO(_ rest: ByteBuffer) {
        guard let context else { return }
        writing = rest.readableBytes
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        context.writeAndFlush(wrapOutboundOut(rest)).whenComplete { result in bound.value.wrote(result) }
        checkLimit()
    }

    private func wrote(_ result: Result<Void, any Error>) {
        writing = 0
        guard case .success = result, descriptor >= 0 else { return }
        if outbox.isEmpty { reportedSlow = false }
        flush()
        if isClosing, writing == 0, peerClosed { closeNow() }
    }

    // MARK: Closing

    /// Sends what waits and a close frame, and waits a bounded time for the peer's.
    public func close(code: UInt16, reason: String) {
        guard isOpen else { return }
        outbox.appendControl(encoding) { WebSocketFrames.appendClose(code: code, reason: reason, to: &$0) }
        flush()
        isClosing = true
        if peerClosed, writing == 0 { return closeNow() }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .seconds(2)) { bound.value.closeNow() }
    }

    /// Forgets what waits: the peer does not read it anyway.
    public func discardOutbox() { outbox.clear() }

    public func closeNow() {
        isClosing = true
        guard let context else { return }
        context.close(promise: nil)
    }
}
