import FaultProxy
import NIOCore
import NIOPosix
import Synchronization

/// A server that sends everything back, a proxy in front of it, and a client.
struct ProxiedPair: Sendable {
    let server: Server
    let proxy: FaultProxy
    let client: Client

    static func start() async throws -> ProxiedPair {
        let server = try await Server.start()
        let proxy = try await FaultProxy.start(towards: server.port)
        return ProxiedPair(server: server, proxy: proxy, client: try await Client.dial(proxy.port))
    }

    func dial() async throws -> Client { try await Client.dial(proxy.port) }
    func send(_ text: String) { client.send(text) }
    var heard: String { client.heard }
    var heardByServer: String { server.log.heard }
    /// Connections that the server has seen begin and end.
    var accepted: Int { server.log.begun }
    var serverEnds: Int { server.log.ended }

    func stop() async {
        await proxy.close()
        await client.close()
        await server.close()
    }
}

/// What came and went on one side.
final class Log: Sendable {
    private struct State {
        var bytes = ByteBuffer()
        var begun = 0
        var ended = 0
    }

    private let state = Mutex(State())
    var heard: String { state.withLock { String(buffer: $0.bytes) } }
    var begun: Int { state.withLock { $0.begun } }
    var ended: Int { state.withLock { $0.ended } }

    func heard(_ bytes: ByteBuffer) { state.withLock { _ = $0.bytes.writeImmutableBuffer(bytes) } }
    func begins() { state.withLock { $0.begun += 1 } }
    func ends() { state.withLock { $0.ended += 1 } }
}

private final class LogHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let log: Log
    let echoes: Bool

    init(_ log: Log, echoes: Bool) { (self.log, self.echoes) = (log, echoes) }

    func channelActive(context: ChannelHandlerContext) { log.begins() }
    func channelInactive(context: ChannelHandlerContext) { log.ends() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        log.heard(bytes)
        if echoes { context.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
    }
}

struct Server: Sendable {
    let log: Log
    let port: Int
    private let channel: any Channel

    static func start() async throws -> Server {
        let log = Log()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(LogHandler(log, echoes: true)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Server(log: log, port: channel.localAddress?.port ?? 0, channel: channel)
    }

    /// Who was closed from the other side has nothing to say against it.
    func close() async { try? await channel.close().get() }
}

struct Client: Sendable {
    private let log: Log
    private let channel: any Channel

    static func dial(_ port: Int) async throws -> Client {
        let log = Log()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(LogHandler(log, echoes: false)) }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return Client(log: log, channel: channel)
    }

    var heard: String { log.heard }
    var isClosed: Bool { log.ended > 0 }
    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    /// Who was closed from the other side has nothing to say against it.
    func close() async { try? await channel.close().get() }
}
