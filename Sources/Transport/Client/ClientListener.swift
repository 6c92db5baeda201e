import Logging
import MeshCore
import NIOCore
import NIOHTTP1
import NIOPosix

public struct ClientListenerSettings: Sendable {
    public var helloBytesMax = 1 << 20
    public var outboxBytesMax = 4 << 20
    public var handshakeTimeout = TimeSpan.seconds(10)
    /// Connections that the kernel keeps while the cells are busy.
    public var backlog: Int32 = 4096
    public init() {}
}

/// Accepts client connections and spreads them over the cells: each one stays on the event loop that it was given to.
public struct ClientListener: Sendable {
    private let channel: any Channel

    /// - Parameters:
    ///   - group: the event loops of the cells. It hands connections out in turn.
    ///   - fronts: one for each of its loops.
    public static func bind(
        host: String, port: Int, group: MultiThreadedEventLoopGroup, fronts: [NIOLoopBound<any ClientFront>],
        settings: ClientListenerSettings
    ) -> EventLoopFuture<ClientListener> {
        let cells = Array(group.makeIterator())
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: settings.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let index = cells.firstIndex(where: { $0 === channel.eventLoop }) else { return }
                    try initialize(channel, front: fronts[index].value, settings)
                }
            }
        return bootstrap.bind(host: host, port: port).map { ClientListener(channel: $0) }
    }

    public var port: Int { channel.localAddress?.port ?? 0 }

    /// Takes no more connections. Those that are there stay.
    public func close() -> EventLoopFuture<Void> {
        let closed = channel.close()
        return closed.flatMapError { _ in closed.eventLoop.makeSucceededVoidFuture() }
    }

    private static func initialize(_ channel: any Channel, front: any ClientFront, _ settings: ClientListenerSettings) throws {
        let pipeline = channel.pipeline.syncOperations
        let encoder = HTTPResponseEncoder()
        let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
        let http = HTTPFrontHandler(front: front, idleTimeout: settings.handshakeTimeout)
        let door = WebSocketDoor(front: front, helloBytesMax: settings.helloBytesMax, outboxBytesMax: settings.outboxBytesMax)
        let pipelining = HTTPServerPipelineHandler()
        let protocolErrors = HTTPServerProtocolErrorHandler()
        let upgrade = HTTPServerUpgradeHandler(
            upgraders: [door], httpEncoder: encoder, extraHTTPHandlers: [decoder, pipelining, protocolErrors, http]
        ) { _ in }
        try pipeline.addHandlers([encoder, decoder, pipelining, protocolErrors, upgrade, http])
    }
}
