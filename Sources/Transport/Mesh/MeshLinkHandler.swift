import Membership
import MeshCore
import NIOCore
import TLS

/// Drives one connection of the mesh: feeds what comes in to the decisions in `Membership` and to `MeshLinks`, and sends
/// what they answer.
final class MeshLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// - `handshaking`: nothing but a hello or a refusal may come. → `up`, `lingering`, `closed`
    /// - `up`: known to the delegate. → `lingering`, `closed`
    /// - `lingering`: ended by this side, last frames are leaving, input is ignored. → `closed`
    /// - `closed`: the channel is closed or about to be.
    private enum State {
        case handshaking
        case up(MeshLink)
        case lingering
        case closed
    }

    /// Bytes handed to NIO that the kernel has not taken. What waits behind them here can still be overtaken.
    private static let windowBytes = 256 << 10

    let number: LinkNumber
    let role: LinkRole
    private let owner: MeshLinks
    private var handshake: LinkHandshake
    private let outbox: LinkOutbox
    private var state = State.handshaking
    private var context: ChannelHandlerContext?
    private var decoder: MeshFrameDecoder
    private var liveness: LinkLiveness?
    private var timer: Scheduled<Void>?
    private var queue = LinkQueue()
    private var bytesInWindow = 0
    private var received: [LinkLane: [ByteBuffer]] = [:]
    private var isOutputClosed = false
    private var bytesReceived = 0
    private var framesReceived = 0
    private(set) var upSince: Instant?

    private var settings: LinkSettings { owner.settings }

    init(number: LinkNumber, role: LinkRole, owner: MeshLinks) {
        self.number = number
        self.role = role
        self.owner = owner
        handshake = LinkHandshake(own: owner.identity, role: role)
        outbox = LinkOutbox(bytesMax: owner.settings.queueBytesMax)
        decoder = MeshFrameDecoder(frameBytesMax: owner.settings.helloBytesMax)
    }

    var link: MeshLink? {
        if case .up(let link) = state { return link }
        return nil
    }

    /// Completes when the connection is closed; nil before it is open and after it was closed.
    var closeFuture: EventLoopFuture<Void>? { context?.channel.closeFuture }

    private var isEnded: Bool {
        switch state {
        case .handshaking, .up: false
        case .lingering, .closed: true
        }
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        open(context)
        guard !isEnded else { return }
        if let refusal = handshake.refusalBeforeHello { return end(.refused(refusal), gently: true) }
        if let opening = handshake.opening { say(.hello(opening)) }
    }

    /// An encrypted connection counts from its first moment: whoever never finishes the handshake holds a place all the while.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is TLSHandshakeBegan: open(context)
        case let completed as TLSHandshakeCompleted: handshake.certifiedNames = completed.handshake.peerNames.uris
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    /// Once, with the connection.
    private func open(_ context: ChannelHandlerContext) {
        guard self.context == nil else { return }
        self.context = context
        if let refused = owner.connectionOpened(self) { return end(refused, gently: false) }
        let timeout = settings.handshakeTimeout
        startTimer(in: timeout) { $0.end(.handshakeTimeout(timeout), gently: true) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        bytesReceived += input.readableBytes
        do throws(MeshFrameDecoder.Fault) {
            while !isEnded, let frame = try decoder.next(&input) { frameReceived(frame) }
        } catch {
            switch error {
            case .empty: end(.garbage("a frame without a lane"), gently: true)
            case .tooLarge(let bytes): end(.frameTooLarge(bytes: bytes, bytesMax: decoder.frameBytesMax), gently: true)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        outbox.received(bytes: bytesReceived, frames: framesReceived)
        (bytesReceived, framesReceived) = (0, 0)
        liveness?.bytesReceived(now: owner.now())
        for lane in LinkLane.allCases { deliver(lane) }
        pump()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.peerClosed, gently: false)
        timer?.cancel()
        outbox.discard()
        self.context = nil
        owner.connectionClosed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(Self.reason(of: error), gently: false)
        context.close(promise: nil)
    }

    private static func reason(of error: any Error) -> LinkEnd {
        guard let fault = error as? TLSFault else { return .failed("\(error)") }
        return .encryptionFailed(label: fault.label, text: fault.text)
    }

    // MARK: Frames

    private func frameReceived(_ frame: MeshFrameDecoder.Frame) {
        framesReceived += 1
        if frame.lane == MeshFraming.internalLane { return messageReceived(frame.payload) }
        guard let lane = LinkLane(rawValue: frame.lane) else { return end(.garbage("lane \(frame.lane)"), gently: true) }
        guard case .up = state else { return end(.garbage("a frame before the hello"), gently: true) }
        received[lane, default: []].append(frame.payload)
    }

    private func deliver(_ lane: LinkLane) {
        guard case .up(let link) = state, let frames = received.removeValue(forKey: lane) else { return }
        owner.delegate?.linkReceived(frames, lane: lane, from: link)
    }

    private func messageReceived(_ payload: ByteBuffer) {
        do throws(LinkMessage.Malformed) {
            try obey(LinkMessage(decoding: payload))
        } catch {
            end(.garbage(error.what), gently: true)
        }
    }

    private func obey(_ message: LinkMessage) throws(LinkMessage.Malformed) {
        switch (message, state) {
        case (.refuse(let reason), _): end(.refusedByPeer(reason), gently: false)
        case (.hello(let hello), .handshaking): helloReceived(hello)
        case (.ping(let seq), .up): say(.pong(seq: seq))
        case (.pong(let seq), .up): pongReceived(seq)
        case (.hello, _): throw LinkMessage.Malformed(what: "a second hello")
        case (.ping, _), (.pong, _): throw LinkMessage.Malformed(what: "a ping or pong before the hello")
        }
    }

    private func helloReceived(_ hello: LinkHello) {
        if let refusal = handshake.check(hello) ?? owner.admit(hello.identity.owner, on: self) {
            return end(.refused(refusal), gently: true)
        }
        // The delegate may have taken this peer away when it heard of the link that is replaced.
        guard !isEnded else { return }
        let now = owner.now()
        upSince = now
        liveness = LinkLiveness(pingEvery: settings.pingEvery, silence: settings.silence, now: now)
        decoder.frameBytesMax = settings.frameBytesMax
        let link = MeshLink(
            number: number, peer: hello.identity.owner, outbox: outbox, driver: NIOLoopBound(self, eventLoop: owner.loop))
        state = .up(link)
        owner.connectionUp(link, role: role)
        if let answer = handshake.answer, !isEnded { say(.hello(answer)) }
        checkLiveness()
    }

    private func pongReceived(_ seq: UInt64) {
        guard liveness?.pongReceived(seq: seq, now: owner.now()) == true, let roundTrip = liveness?.roundTrip else { return }
        outbox.measured(roundTrip)
    }

    // MARK: Timers

    private func startTimer(in span: TimeSpan, _ body: @escaping (MeshLinkHandler) -> Void) {
        timer?.cancel()
        timer = owner.loop.assumeIsolated().scheduleTask(in: .nanoseconds(span.nanoseconds)) { body(self) }
    }

    private func checkLiveness() {
        switch liveness?.tick(now: owner.now()) {
        case .ping(let seq):
            say(.ping(seq: seq))
            pump()
            if !isEnded { startTimer(in: settings.pingEvery) { $0.checkLiveness() } }
        case .silent(let span): end(.silent(span), gently: false)
        case nil: break
        }
    }

    // MARK: Sending

    /// Frames from another place wait in the outbox. Called once a tick.
    func outboxFilled() { pump() }

    func outboxOverflowed() { end(.queueFull(bytesMax: outbox.bytesMax), gently: false) }

    private func say(_ message: LinkMessage) {
        var frame = ByteBuffer()
        message.append(to: &frame)
        guard outbox.reserve(frame.readableBytes) else { return outboxOverflowed() }
        queue.appendUrgent(frame)
        if case .handshaking = state { pump() }
    }

    /// Hands NIO what fits into the window and flushes once.
    private func pump() {
        guard let context, !isClosed else { return }
        outbox.fetch(into: &queue)
        var isDirty = false
        while bytesInWindow < Self.windowBytes || isLingering, let chunk = queue.next() {
            write(chunk, context: context)
            isDirty = true
        }
        if isDirty { context.flush() }
    }

    private var isLingering: Bool {
        if case .lingering = state { return true }
        return false
    }

    private var isClosed: Bool {
        if case .closed = state { return true }
        return false
    }

    private func write(_ chunk: LinkQueue.Chunk, context: ChannelHandlerContext) {
        let bytes = chunk.bytes.readableBytes
        bytesInWindow += bytes
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { self.written(bytes: bytes, frames: chunk.frames) }
        context.write(wrapOutboundOut(chunk.bytes), promise: written)
    }

    private func written(bytes: Int, frames: Int) {
        bytesInWindow -= bytes
        outbox.sent(bytes: bytes, frames: frames)
        if isLingering, bytesInWindow == 0 { return finishLingering() }
        if !queue.isEmpty { pump() }
    }

    // MARK: The end

    /// Ends the link once; later calls do nothing. Gently: what was sent before still leaves, then the reason if the peer is
    /// to blame, then our half is closed and the peer's close is awaited, since closing with unread input would
    /// reset the connection and take those last bytes with it.
    func end(_ reason: LinkEnd, gently: Bool) {
        guard !isEnded else { return }
        let link = link
        state = gently ? .lingering : .closed
        received = [:]
        liveness = nil
        timer?.cancel()
        outbox.close()
        if gently { linger(reason) } else { context?.close(promise: nil) }
        owner.connectionEnded(self, link: link, reason: reason)
    }

    private func linger(_ reason: LinkEnd) {
        startTimer(in: settings.lingerMost) { $0.closeNow() }
        if reason.isToldToPeer { say(.refuse(reason.description)) }
        pump()
        if bytesInWindow == 0 { finishLingering() }
    }

    private func finishLingering() {
        guard !isOutputClosed else { return }
        isOutputClosed = true
        context?.close(mode: .output, promise: nil)
    }

    private func closeNow() {
        state = .closed
        context?.close(promise: nil)
    }
}
