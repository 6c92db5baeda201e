import MeshCore
public import NIOCore
public import Wire

/// What a connection tells its session. Called on the connection's event loop.
public protocol ClientConnectionDelegate: AnyObject {
    /// One WebSocket message, or one frame of a stream.
    func connectionReceived(_ payload: ByteBuffer, as encoding: FrameEncoding)
    /// The peer broke the rules of its transport; the connection closes itself with the matching code.
    func connectionViolated(_ violation: WebSocketViolation)
    /// More waits for the peer than the outbox should hold (`outboxBehindBytes`), or may hold (`outboxBytesMax`).
    func connectionIsBehind()
    /// There is room again, as `wantsDrain` asked to be told.
    func connectionDrained()
    /// A batch of ephemeral messages was not kept for a peer that is slow.
    func connectionShedBatch()
    /// Bytes came in: the peer lives.
    func connectionHeard()
    /// The peer will send nothing more and still listens: a stream whose request has ended. Answer what is open, then close.
    func connectionFinished()
    /// The last call. `clean`: the peer closed as its transport wants it, and not with the code of a fault.
    func connectionEnded(clean: Bool)
}

/// The transport of one session, whichever door it came through: a WebSocket on a socket or on an HTTP/2 stream, a stream of ndjson, or a
/// gRPC call. Cuts what comes in into frames, and collects and sends what goes out.
public final class ClientConnection {
    public enum Door: String, Hashable, Sendable, CaseIterable {
        case webSocket = "websocket"
        case webSocketOverHTTP2 = "websocket_h2"
        case ndjson
        case grpc
    }

    enum Carrier {
        case socket(ClientSocket)
        case stream(HTTP2Stream)
    }

    public let door: Door
    public let format: FrameFormat
    public let eventLoop: any EventLoop
    /// Let go of after the last call, or when the delegate wants no more of them.
    public var delegate: (any ClientConnectionDelegate)?

    /// Whether the cell has this connection on its list of those to flush at the end of the tick.
    public var isQueuedForFlush = false
    /// Of the last tick in which a room had something for this connection; see `touch`.
    private var touchedTick: UInt64 = 0
    private var isCorked = false

    /// One of the two is set.
    private let socket: ClientSocket?
    /// The socket again, for the fan-out path, which counts no references: `socket` keeps it alive as long as this connection.
    private let fanOutSocket: Unmanaged<ClientSocket>?
    private let stream: HTTP2Stream?
    /// One of the two is set, and changed in place: a copy would be paid for with the fragments that it holds.
    private var parser: WebSocketParser?
    private var framing: StreamFraming?
    private var unread: ByteBuffer?
    private(set) var outbox: FrameBatch
    private var isClosing = false
    private var hasEnded = false
    private var peerClosed = false
    /// The peer has closed and means it: 1000, 1001 or no code, or the end of its stream.
    private var peerLeft = false
    /// Whether our close waits for the peer's.
    private var awaitsPeer = true
    /// The step of the outbox that was reported last.
    private var reported = OutboxLevel.fine
    private let steps: OutboxSteps
    /// Of what waits, what the session has put up with.
    private var toleratedBytes = 0
    /// All streams of its HTTP/2 connection together hold too much, and this one more than its share.
    private var isOverShare = false
    /// Set by who waits for room; `connectionDrained` answers.
    public var wantsDrain = false
    /// When the peer last took something, or when something began to wait for it.
    private var takenAt = NIODeadline.now()

    private static let readBytesKept = 16 << 10
    /// How long a peer may take to answer our close with its own.
    private static let closeTimeout = TimeAmount.seconds(2)
    /// What it takes in that time, at least, if it still reads what waits for it.
    private static let closingBytesLeast = 16 << 10

    init(_ door: Door, _ format: FrameFormat, on carrier: Carrier, tools: ConnectionTools, settings: ClientListenerSettings) {
        self.door = door
        self.format = format
        steps = settings.outbox
        switch carrier {
        case .socket(let socket): (self.socket, stream, eventLoop) = (socket, nil, socket.eventLoop)
        case .stream(let stream): (socket, self.stream, eventLoop) = (nil, stream, stream.eventLoop)
        }
        fanOutSocket = socket.map { Unmanaged.passUnretained($0) }
        outbox = FrameBatch(format, deflater: tools.deflater(for: format))
        switch format.framing {
        case .webSocket(let windowBits):
            let inflater = windowBits == nil ? nil : tools.inflater
            parser = WebSocketParser(role: .server, messageBytesMax: settings.helloBytesMax, inflater: inflater)
        case .stream: framing = StreamFraming(format.encoding, frameBytesMax: settings.helloBytesMax)
        }
    }

    public var encoding: FrameEncoding { format.encoding }

    /// After hello messages are smaller.
    public func limitMessages(to bytes: Int) {
        parser?.messageBytesMax = bytes
        framing?.frameBytesMax = bytes
    }

    public var isOpen: Bool { !isClosing && socket?.isOpen ?? true }
    /// Bytes that wait for the peer in this process.
    public var waitingBytes: Int { outbox.bytes + (socket?.pendingBytes ?? 0) }

    /// How long the peer has taken nothing of what waits for it.
    public var stalledFor: TimeSpan {
        guard waitingBytes > 0 else { return .zero }
        return TimeSpan(nanoseconds: (.now() - max(socket?.progressAt ?? takenAt, takenAt)).nanoseconds)
    }

    // MARK: Inbound

    /// What came from the peer, in any cut. The bytes are this connection's, to be unmasked in place and to be kept.
    func received(_ bytes: ByteBuffer) {
        guard !hasEnded else { return }
        delegate?.connectionHeard()
        var buffer = bytes
        if var earlier = unread {
            unread = nil
            // A peer whose frames never end with its packets would make this grow for ever.
            if earlier.readerIndex > max(Self.readBytesKept, earlier.readableBytes) { earlier.discardReadBytes() }
            earlier.writeBuffer(&buffer)
            buffer = earlier
        }
        switch format.framing {
        case .webSocket: readWebSocket(&buffer)
        case .stream: readStream(&buffer)
        }
        if buffer.readableBytes > 0, !peerClosed, !hasEnded { unread = buffer }
    }

    private func readWebSocket(_ buffer: inout ByteBuffer) {
        while !peerClosed, !hasEnded, let event = parser?.next(&buffer) { handle(event) }
    }

    private func readStream(_ buffer: inout ByteBuffer) {
        while !isClosing, let frame = nextFrame(&buffer) { delegate?.connectionReceived(frame, as: encoding) }
        if isClosing { buffer.clear() }
    }

    private func nextFrame(_ buffer: inout ByteBuffer) -> ByteBuffer? {
        do throws(StreamFraming.Fault) {
            return try framing?.next(&buffer)
        } catch {
            switch error {
            case .tooLarge: violated(.messageTooLarge)
            case .compressed: refuseCompression()
            }
            return nil
        }
    }

    private func refuseCompression() {
        delegate?.connectionViolated(.unexpectedType)
        // gRPC's "Compression": the flag without a `grpc-encoding` is an ill-constructed message.
        end(stream: .internal, "a message says that it is compressed, and no grpc-encoding was named")
    }

    private func handle(_ event: WebSocketParser.Event) {
        switch event {
        case .text(let payload): if !isClosing { delegate?.connectionReceived(payload, as: .json) }
        case .binary(let payload): if !isClosing { delegate?.connectionReceived(payload, as: .protobuf) }
        case .ping(let payload): control { WebSocketFrames.appendPong(payload, to: &$0) }
        case .pong: break
        case .close(let code, _):
            peerClosed = true
            peerLeft = code == nil || code == WebSocketCloseCode.normal || code == WebSocketCloseCode.goingAway
            if isClosing { finishTransport() } else { close(code: code ?? 1000, reason: "") }
        case .violation(let violation):
            violated(violation)
        }
    }

    /// The peer broke a rule that is not its session's.
    public func violated(_ violation: WebSocketViolation) {
        guard !isClosing else { return closeNow() }
        delegate?.connectionViolated(violation)
        // There is nothing more to hear from such a peer (RFC 6455, section 7.1.7).
        awaitsPeer = false
        close(code: violation.code, reason: violation.reason)
    }

    /// The peer has ended its half of the stream.
    func peerFinished() {
        guard !hasEnded else { return }
        guard case .stream = format.framing else {
            // A WebSocket ends with a close frame; without one this is what a lost connection looks like.
            return peerClosed ? () : closeNow()
        }
        // A last line may lack its line feed.
        if encoding == .json, var rest = unread {
            unread = nil
            rest.writeInteger(UInt8(ascii: "\n"))
            readStream(&rest)
        }
        peerClosed = true
        peerLeft = true
        guard !isClosing else { return }
        delegate?.connectionFinished()
    }

    /// The carrier is gone.
    func carrierEnded() {
        guard !hasEnded else { return }
        hasEnded = true
        isClosing = true
        unread = nil
        outbox.clear()
        delegate?.connectionEnded(clean: peerLeft)
        delegate = nil
    }

    // MARK: Outbound, for this connection alone

    /// Adds one message to the outbox; `flush` sends it. The cell must be told (`isQueuedForFlush`).
    public func append(_ write: (inout ByteBuffer) -> Void) {
        guard isOpen else { return }
        beginsToWait()
        outbox.append(write)
        appended()
    }

    /// Adds one whole WebSocket message of either type, for a delegate that is no session of ours.
    public func append(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        guard isOpen else { return }
        var message = FrameBatch(FrameFormat(opcode == .text ? .json : .protobuf, format.framing), deflater: outbox.deflater)
        message.append { $0.writeImmutableBuffer(payload) }
        message.seal()
        beginsToWait()
        message.withBytes { outbox.append(frames: $0) }
        appended()
    }

    /// Asks a WebSocket's peer for a sign of life. False on a stream, which has no such thing.
    public func ping() -> Bool {
        guard case .webSocket = format.framing else { return false }
        control { WebSocketFrames.appendPing(to: &$0) }
        return true
    }

    private func control(_ write: (inout ByteBuffer) -> Void) {
        guard isOpen else { return }
        beginsToWait()
        outbox.appendControl(write)
        appended()
        flush()
    }

    /// Before anything is put into an empty outbox.
    private func beginsToWait() { if outbox.isEmpty { takenAt = .now() } }

    private func appended() {
        if stream != nil, outbox.sealedBytes == outbox.bytes { outbox.markEnd() }
        checkLimit()
    }

    private func checkLimit() {
        let holdsTooMuch = stream?.holds(outbox.bytes) ?? false
        isOverShare = holdsTooMuch
        let level = level
        guard level > reported else { return }
        reported = level
        delegate?.connectionIsBehind()
    }

    private var level: OutboxLevel { isOverShare ? .full : steps.level(of: waitingBytes - toleratedBytes) }

    /// Whether more waits than may: of this connection, or of all streams of its HTTP/2 connection together.
    public var isFull: Bool { level == .full }

    /// One tick can bring more than the outbox may hold. If nothing of that kind will follow, the peer has time to read it; a quarter more may
    /// come meanwhile, once until it has. Not where the streams of a connection share what may wait.
    public func tolerateBacklog() {
        guard !isOverShare, toleratedBytes == 0 else { return }
        toleratedBytes = max(0, waitingBytes - steps.bytesMax * 3 / 4)
        reported = .behind
    }

    private func tookSome() {
        guard waitingBytes <= steps.drainedBytes else { return }
        reported = .fine
        toleratedBytes = 0
        isOverShare = false
        guard wantsDrain else { return }
        wantsDrain = false
        delegate?.connectionDrained()
    }

    /// Sends the outbox, unless earlier bytes still wait: then it follows when they are gone.
    public func flush() {
        isCorked = false
        guard let socket else {
            outbox.markEnd()
            stream?.hasMore()
            return
        }
        if socket.hasFailed { return closeNow() }
        guard socket.pendingBytes == 0 else { return }
        if !outbox.isEmpty { outbox.take().withUnsafeReadableBytes { socket.send($0) } }
        if socket.hasFailed { return closeNow() }
        tookSome()
    }

    /// A stream takes some of what was flushed.
    func takeFromOutbox(_ count: Int, into buffer: inout ByteBuffer) {
        outbox.take(count, into: &buffer)
        _ = stream?.holds(outbox.bytes)
        takenAt = .now()
        tookSome()
    }

    /// The socket has room again.
    func drained() {
        flush()
        if isClosing, peerClosed || !awaitsPeer, waitingBytes == 0 { finishTransport() }
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
    ///
    /// - Parameter isEphemeral: nobody comes back for what is in it, so it is not kept for a peer that is slow.
    @inline(__always)
    public func deliver(_ batch: UnsafeRawBufferPointer, isEphemeral: Bool) -> Bool {
        guard !isClosing else { return false }
        if isCorked || !outbox.isEmpty { return keep(batch, isEphemeral) }
        guard let fanOutSocket else { return deliverToStream(batch, isEphemeral) }
        return fanOutSocket._withUnsafeGuaranteedRef { socket in
            guard socket.pendingBytes == 0 else { return keep(batch, isEphemeral) }
            socket.send(batch)
            if socket.pendingBytes > 0 { checkLimit() }
            return socket.hasFailed
        }
    }

    @inline(never)
    private func keep(_ batch: UnsafeRawBufferPointer, _ isEphemeral: Bool) -> Bool {
        if isEphemeral, waitingBytes > steps.sheddingBytes {
            delegate?.connectionShedBatch()
            return false
        }
        beginsToWait()
        outbox.append(frames: batch)
        appended()
        return true
    }

    @inline(never)
    private func deliverToStream(_ batch: UnsafeRawBufferPointer, _ isEphemeral: Bool) -> Bool {
        guard let stream else { return false }
        let sent = stream.send(batch)
        guard sent < batch.count else { return false }
        guard sent > 0 else { return keep(batch, isEphemeral) }
        beginsToWait()
        outbox.append(rest: UnsafeRawBufferPointer(rebasing: batch[sent...]))
        checkLimit()
        return true
    }

    // MARK: Closing

    /// Sends what waits, says goodbye as the transport does, and waits a bounded time for the peer to do the same.
    /// - Parameter code: of a WebSocket's close frame; the status of a gRPC call follows from it.
    public func close(code: UInt16, reason: String) {
        guard isOpen else { return }
        guard case .webSocket = format.framing else { return end(stream: GRPCStatus(closeCode: code), reason) }
        outbox.appendControl { WebSocketFrames.appendClose(code: code, reason: reason, to: &$0) }
        flush()
        isClosing = true
        // A stream ends behind what waits for it.
        if peerClosed || !awaitsPeer, stream != nil || waitingBytes == 0 { finishTransport() }
        closeSoon()
    }

    /// Ends the answer of a stream.
    func end(stream status: GRPCStatus, _ reason: String) {
        guard isOpen else { return }
        outbox.markEnd()
        isClosing = true
        stream?.end(status, reason)
        closeSoon()
    }

    /// Whoever reads on is waited for: what waits is bounded, and so is the time for it.
    private func closeSoon() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let least = waitingBytes - Self.closingBytesLeast
        eventLoop.scheduleTask(in: Self.closeTimeout) {
            let connection = bound.value
            if connection.waitingBytes > 0, connection.waitingBytes <= least { connection.closeSoon() } else { connection.closeNow() }
        }
    }

    private func finishTransport() {
        isClosing = true
        socket?.finish()
        stream?.end(.ok, "")
    }

    /// Forgets what waits: the peer does not read it anyway.
    public func discardOutbox() {
        outbox.forget()
        _ = stream?.holds(outbox.bytes)
    }

    public func closeNow() {
        isClosing = true
        guard !hasEnded else { return }
        socket?.closeNow()
        stream?.cancel()
    }
}

extension ClientConnection: ClientSocketReceiver {
    /// In a size of their own, also if no more than a part of them is kept.
    func socketReceived(_ bytes: ByteBuffer) { received(ByteBuffer(buffer: bytes)) }
    func socketReadComplete() {}
    func socketDrained() { drained() }
    func socketEnded() { carrierEnded() }
}
