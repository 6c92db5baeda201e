import HTTP2
import Logging
import MeshCore
import NIOCore
import NIOPosix
public import TLS

public struct ClientListenerSettings: Sendable {
    public var helloBytesMax = 1 << 20
    public var outbox = OutboxSteps(drainedBytes: 128 << 10, sheddingBytes: 256 << 10, behindBytes: 1 << 20, bytesMax: 4 << 20)
    /// From a connection's first moment until it is known what it speaks and its TLS handshake is done; then as long again for the first
    /// request, or HTTP/2's settings.
    public var handshakeTimeout = TimeSpan.seconds(10)
    /// An HTTP/2 connection without streams is asked to go after this long.
    public var idleTimeout = TimeSpan.seconds(60)
    /// An HTTP/2 connection whose peer takes nothing for this long is closed.
    public var writeTimeout = TimeSpan.seconds(20)
    /// Connections that the kernel keeps while the cells are busy.
    public var backlog: Int32 = 4096
    public var connectionsPerAddressMax = 20_000
    /// Connections of one cell, whether they have become sessions or not. One more is closed at once.
    public var socketsPerCellMax = 100_000
    public var http2 = HTTP2Limits()
    /// Whether permessage-deflate is agreed on with clients that offer it.
    public var compresses = true
    /// The certificates of the moment; nil: no TLS is spoken.
    public var tls: (@Sendable () -> TLSContext)?
    /// Whether cleartext is served beside TLS.
    public var allowsPlaintext = false
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
        settings: ClientListenerSettings, logger: Logger
    ) -> EventLoopFuture<ClientListener> {
        let cells = Array(group.makeIterator())
        let addresses = AddressLimit(most: settings.connectionsPerAddressMax)
        let acceptors = fronts.map { front in
            front.eventLoop.submit {
                NIOLoopBound(
                    ClientAcceptor(front: front.value, settings: settings, addresses: addresses, logger: logger), eventLoop: front.eventLoop
                )
            }
        }
        return EventLoopFuture.whenAllSucceed(acceptors, on: group.next()).flatMap { acceptors in
            bootstrap(group, cells, acceptors, settings).bind(host: host, port: port).map { ClientListener(channel: $0) }
        }
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, _ cells: [any EventLoop], _ acceptors: [NIOLoopBound<ClientAcceptor>],
        _ settings: ClientListenerSettings
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: settings.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: SharedReads.firstReadsAtOnce)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let index = cells.firstIndex(where: { $0 === channel.eventLoop }) else { return }
                    try acceptors[index].value.accept(channel)
                }
            }
    }

    public var port: Int { channel.localAddress?.port ?? 0 }

    /// Takes no more connections. Those that are there stay.
    public func close() -> EventLoopFuture<Void> {
        let closed = channel.close()
        return closed.flatMapError { _ in closed.eventLoop.makeSucceededVoidFuture() }
    }
}
