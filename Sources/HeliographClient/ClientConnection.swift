import MeshCore
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// One WebSocket to one relay: from the TCP connection to its end. Frames go in and out; what they mean is the
/// client's business.
final class ClientConnection: Sendable {
    /// A server's message holds one or more frames of at most 1 MiB.
    static let messageBytesMax = 4 << 20
    static let frameBytesMax = 1 << 20

    /// Fulfilled once, never failed: why the connection ended.
    let closed: EventLoopFuture<DisconnectCause>
    private let channel: any Channel
    private let encoding: FrameEncoding
    private let liveness: Liveness

    private init(channel: any Channel, encoding: FrameEncoding, liveness: Liveness, closed: EventLoopFuture<DisconnectCause>) {
        self.channel = channel
        self.encoding = encoding
        self.liveness = liveness
        self.closed = closed
    }

    /// Connects and upgrades.
    /// - Parameter onFrames: called on the event loop, in order, with what the relay sent.
    static func open(
        _ url: RelayURL, encoding: FrameEncoding, group: any EventLoopGroup, timeout: TimeSpan,
        onFrames: @escaping @Sendable ([RelayServerFrame]) -> Void
    ) async throws(HeliographClientError) -> ClientConnection {
        let loop = group.next()
        let upgraded = loop.makePromise(of: Void.self)
        let closed = loop.makePromise(of: DisconnectCause.self)
        let liveness = Liveness()
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(timeout.nanoseconds))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ClientChannelHandler(
                        url: url, encoding: encoding, liveness: liveness, upgraded: upgraded, closed: closed, onFrames: onFrames)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.connect(host: url.host, port: url.port).get()
        } catch {
            // The handler, if there was one, has failed these already: a promise ignores what comes second.
            upgraded.fail(error)
            closed.succeed(.transport("never connected"))
            throw .connectFailed("\(error)")
        }
        let connection = ClientConnection(channel: channel, encoding: encoding, liveness: liveness, closed: closed.futureResult)
        let deadline = loop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        do {
            try await upgraded.futureResult.get()
        } catch let error as HeliographClientError {
            throw error
        } catch {
            throw .connectFailed("\(error)")
        }
        return connection
    }

    /// When bytes last came from the relay.
    var lastReceived: Instant { liveness.lastReceived }

    /// Whether the transport takes bytes; if not, they queue up behind a relay that does not read.
    var isWritable: Bool { channel.isWritable }

    /// Sends frames as one message. Never calls back synchronously, so it may be called under a lock, and in that
    /// order the frames travel.
    /// - Throws: `invalidRequest` if a frame cannot be encoded or is larger than `bytesMax`.
    func send(_ frames: [RelayClientFrame], bytesMax: Int) throws(HeliographClientError) {
        var payload = ByteBuffer()
        for frame in frames {
            if payload.readableBytes > 0 { encoding.appendSeparator(to: &payload) }
            let start = payload.writerIndex
            do throws(FrameFault) {
                try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
            } catch {
                throw .invalidRequest("the frame cannot be encoded")
            }
            guard payload.writerIndex - start <= bytesMax else { throw .invalidRequest("more than \(bytesMax) bytes") }
        }
        var message = ByteBuffer()
        WebSocketFrames.append(encoding.opcode, payload, mask: .random(in: 0...(.max)), to: &message)
        write(message)
    }

    /// Says goodbye on both levels and closes; at the latest after two seconds the socket is gone.
    func close(farewell: RelayClientFrame) {
        try? send([farewell], bytesMax: Self.frameBytesMax)
        var message = ByteBuffer()
        WebSocketFrames.appendClose(code: WebSocketCloseCode.normal, mask: .random(in: 0...(.max)), to: &message)
        write(message)
        let channel = channel
        channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
    }

    /// Ends the connection for a reason of our own, which `closed` will report.
    func abort(_ cause: DisconnectCause) {
        let channel = channel
        channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(AbortEvent(cause: cause)) }
    }

    private func write(_ message: ByteBuffer) {
        let channel = channel
        channel.eventLoop.execute { channel.writeAndFlush(message, promise: nil) }
    }
}

/// The one thing that the event loop and the client's clock share.
final class Liveness: Sendable {
    private let nanoseconds = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)
    var lastReceived: Instant { Instant(nanoseconds: nanoseconds.load(ordering: .relaxed)) }
    func received() { nanoseconds.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }
}

/// Asks the handler to close for a reason.
struct AbortEvent: Sendable {
    let cause: DisconnectCause
}
