import MeshCore
import NIOCore
import NIOPosix

/// Stands between a client and a server on 127.0.0.1 and does to their TCP connections what networks do. It understands nothing of
/// what it passes on, so it works for TLS too.
public final class FaultProxy: Sendable {
    /// Where clients dial.
    public let port: Int
    private let loop: any EventLoop
    private let listener: any Channel
    private let core: NIOLoopBound<ProxyCore>

    /// - Parameter target: the port of the server. It need not listen yet.
    /// - Throws: what the system says when no port can be had.
    public static func start(towards target: Int) async throws -> FaultProxy {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let core = try await loop.submit { NIOLoopBound(ProxyCore(target: target, loop: loop), eventLoop: loop) }.get()
        let listener = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try core.value.accept(channel) } }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = listener.localAddress?.port else { throw ChannelError.unknownLocalAddress }
        return FaultProxy(port: port, loop: loop, listener: listener, core: core)
    }

    private init(port: Int, loop: any EventLoop, listener: any Channel, core: NIOLoopBound<ProxyCore>) {
        (self.port, self.loop, self.listener, self.core) = (port, loop, listener, core)
    }

    /// From when it returns on. Faults of one direction add up: silence and a delay.
    public func apply(_ fault: LinkFault, to direction: LinkDirection = .both) async throws {
        try await loop.submit { [core] in core.value.change(direction) { $0.add(fault) } }.get()
    }

    /// Ends all faults of a direction.
    public func heal(_ direction: LinkDirection = .both) async throws {
        try await loop.submit { [core] in core.value.change(direction) { $0 = LaneCondition() } }.get()
    }

    /// Connections of which an end is open.
    public var connections: Int {
        get async throws { try await loop.submit { [core] in core.value.carriers.count }.get() }
    }

    /// Stops listening and resets what is open.
    public func close() async {
        try? await listener.close().get()
        try? await loop.submit { [core] in core.value.resetAll() }.get()
    }
}
