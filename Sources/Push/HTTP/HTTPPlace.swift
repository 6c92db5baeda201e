import MeshCore
import NIOCore
import NIOPosix
import TLS

/// Where a sender's server is, and how it is reached.
public struct HTTPPlace: Sendable {
    public var address: WebAddress
    /// For `https:`; nil for a server in the clear.
    public var tls: TLSCredentials?
    /// From the request to the last byte of its answer, the connection included.
    public var deadline: TimeSpan
    public var loop: any EventLoop

    public init(address: WebAddress, tls: TLSCredentials?, deadline: TimeSpan, loop: any EventLoop) {
        self.address = address
        self.tls = tls
        self.deadline = deadline
        self.loop = loop
    }

    /// Connects; `handlers` are those behind TLS.
    func connect(_ add: @escaping @Sendable (any Channel) throws -> Void) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(deadline.nanoseconds))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let session = TLSSession(tls.context, serverName: address.host)
                        try channel.pipeline.syncOperations.addHandler(TLSHandler(session, handshakeTimeout: deadline))
                    }
                    try add(channel)
                }
            }
            .connect(host: address.host, port: address.port)
    }
}
