import NIOCore
import NIOPosix
import Synchronization
import Wire

#if canImport(Glibc)
    import Glibc
#endif

/// The yardstick: a WebSocket server that sends what one client says to all, as it is, by the technique that Heliograph's
/// fan-out uses. Within a tick of the event loop the frames are collected in one contiguous batch; at its end every
/// connection that has nothing pending is sent that batch straight from the shared buffer, and what the kernel does not
/// take goes through SwiftNIO. No session, no room, no protocol.
public final class BroadcastBaseline: BenchmarkServer {
    /// A connection that has more than this pending is closed rather than served late.
    public static let pendingBytesMax = 16 << 20

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let listener = Mutex<(any Channel)?>(nil)
    private let counts = BaselineCounts()

    public init() {}

    public func start() async throws -> BenchmarkAddress {
        let loop = group.next()
        let counts = counts
        let hub = try await loop.submit { NIOLoopBound(BaselineHub(loop: loop, counts: counts), eventLoop: loop) }.get()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(BaselineHandler(hub: hub.value, channel: channel))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
        return BenchmarkAddress(port: channel.localAddress?.port ?? 0)
    }

    public func stop() async throws {
        try await listener.withLock { $0 }?.close()
        try await group.shutdownGracefully()
    }

    public func token(user: String) async throws -> String { "" }

    public func counters() async -> BenchmarkCounters { counts.current }
}

/// Written by the event loop, read by whoever asks.
private final class BaselineCounts: Sendable {
    private let sends = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    var current: BenchmarkCounters { .init(sends: sends.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed)) }

    func add(sends: UInt64, bytes: UInt64) {
        self.sends.wrappingAdd(sends, ordering: .relaxed)
        self.bytes.wrappingAdd(bytes, ordering: .relaxed)
    }
}

/// Everybody who is connected, and the batch of the tick. Lives on the one event loop.
private final class BaselineHub {
    private let loop: any EventLoop
    private let counts: BaselineCounts
    private var members: [BaselineHandler] = []
    private var batch = ByteBuffer()

    init(loop: any EventLoop, counts: BaselineCounts) {
        self.loop = loop
        self.counts = counts
        batch.reserveCapacity(64 << 10)
    }

    func join(_ member: BaselineHandler) {
        member.place = members.count
        members.append(member)
    }

    func leave(_ member: BaselineHandler) {
        guard let place = member.place else { return }
        member.place = nil
        let last = members.removeLast()
        guard last !== member else { return }
        members[place] = last
        last.place = place
    }

    func broadcast(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        if batch.readableBytes == 0 {
            let hub = NIOLoopBound(self, eventLoop: loop)
            loop.execute { hub.value.flush() }
        }
        WebSocketFrames.append(opcode, payload, to: &batch)
    }

    /// No callback can run between the check of a connection and its send: what fails is closed after the round.
    private func flush() {
        var sends: UInt64 = 0
        var bytes: UInt64 = 0
        var failed: [BaselineHandler] = []
        let batch = batch
        for member in members {
            sends += 1
            let sent = member.send(batch)
            bytes += UInt64(max(0, sent))
            if sent < 0 { failed.append(member) }
        }
        counts.add(sends: sends, bytes: bytes)
        for member in failed { member.close() }
        self.batch.clear()
    }
}

/// One connection of the baseline.
private final class BaselineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// The head of a request must fit in here.
    private static let headBytesMax = 8 << 10
    private static let messageBytesMax = 64 << 10

    private let hub: BaselineHub
    private let channel: any Channel
    private var descriptor: CInt = -1
    private var parser: WebSocketParser?
    private var inbox = ByteBuffer()
    private var pendingBytes = 0
    /// Where the hub keeps this connection.
    var place: Int?

    init(hub: BaselineHub, channel: any Channel) {
        self.hub = hub
        self.channel = channel
    }

    func channelActive(context: ChannelHandlerContext) {
        let found = try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        descriptor = found ?? -1
    }

    func channelInactive(context: ChannelHandlerContext) {
        descriptor = -1
        hub.leave(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        if parser == nil { upgrade(context) }
        while let event = parser?.next(&inbox) { handle(event, context) }
        if inbox.readableBytes == 0 { inbox = ByteBuffer() }
    }

    private func upgrade(_ context: ChannelHandlerContext) {
        do {
            guard let head = try HandshakeHead.take(from: &inbox, bytesMax: Self.headBytesMax) else { return }
            guard let key = head.value("sec-websocket-key") else { return context.close(promise: nil) }
            var answer = context.channel.allocator.buffer(capacity: 256)
            WebSocketHandshake.appendResponse(key: key, subprotocol: nil, to: &answer)
            parser = WebSocketParser(role: .server, messageBytesMax: Self.messageBytesMax)
            write(answer)
            hub.join(self)
        } catch {
            context.close(promise: nil)
        }
    }

    private func handle(_ event: WebSocketParser.Event, _ context: ChannelHandlerContext) {
        switch event {
        case .text(let payload): hub.broadcast(.text, payload)
        case .binary(let payload): hub.broadcast(.binary, payload)
        case .ping(let payload):
            var pong = ByteBuffer()
            WebSocketFrames.appendPong(payload, to: &pong)
            write(pong)
        case .pong: break
        case .close, .violation: context.close(promise: nil)
        }
    }

    /// Sends a batch, at once if nothing is pending. Returns the bytes the kernel took; -1 if the connection must be closed.
    func send(_ batch: ByteBuffer) -> Int {
        guard channel.isActive, descriptor >= 0 else { return 0 }
        guard pendingBytes == 0 else {
            guard pendingBytes + batch.readableBytes <= BroadcastBaseline.pendingBytesMax else { return -1 }
            write(batch)
            return 0
        }
        let sent = sendDirectly(batch)
        guard sent >= 0 else { return -1 }
        if sent < batch.readableBytes {
            var rest = batch
            rest.moveReaderIndex(forwardBy: sent)
            write(rest)
        }
        return sent
    }

    /// 0 if the kernel's buffer is full; -1 on any other failure.
    private func sendDirectly(_ batch: ByteBuffer) -> Int {
        batch.withUnsafeReadableBytes { bytes in
            while true {
                let sent = Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
                if sent >= 0 { return sent }
                switch errno {
                case EINTR: continue
                case EAGAIN: return 0
                default: return -1
                }
            }
        }
    }

    /// Through SwiftNIO. Direct sends wait until all of it has left.
    private func write(_ bytes: ByteBuffer) {
        pendingBytes += bytes.readableBytes
        channel.writeAndFlush(bytes).assumeIsolated().whenComplete { _ in self.pendingBytes -= bytes.readableBytes }
    }

    func close() { channel.close(promise: nil) }
}
