import HTTP2
import Logging
import MeshCore
import NIOCore
import NIOHTTP1
import TLS

/// Takes connections in for one cell: who may come, and what serves a connection once it is known what it speaks.
final class ClientAcceptor {
    let front: any ClientFront
    let settings: ClientListenerSettings
    private let addresses: AddressLimit
    private let logger: Logger
    private var sockets = 0

    init(front: any ClientFront, settings: ClientListenerSettings, addresses: AddressLimit, logger: Logger) {
        self.front = front
        self.settings = settings
        self.addresses = addresses
        self.logger = logger
    }

    var refusesPlaintext: Bool { settings.tls != nil && !settings.allowsPlaintext }

    /// Nil where no TLS is spoken.
    func tlsContext() -> TLSContext? { settings.tls?() }

    /// Puts the socket into the pipeline of a connection that was accepted.
    func accept(_ channel: any Channel) throws {
        guard sockets < settings.socketsPerCellMax else {
            front.countDrop(.connectionLimit)
            return channel.close(promise: nil)
        }
        let key = AddressLimit.Key(channel.remoteAddress)
        if let key, !addresses.enter(key) {
            front.countDrop(.addressLimit)
            return channel.close(promise: nil)
        }
        sockets += 1
        let socket = ClientSocket(channel: channel, acceptor: self, address: key)
        do {
            try channel.syncOptions?.setOption(.recvAllocator, value: SharedReads(front.tools.readBuffer))
            try channel.pipeline.syncOperations.addHandler(socket)
        } catch {
            closed(socket)
            throw error
        }
    }

    func closed(_ socket: ClientSocket) {
        sockets -= 1
        if let key = socket.address { addresses.leave(key) }
    }

    func secured(_ handshake: TLSHandshake) { front.secured(handshake) }

    func faulted(_ fault: TLSFault, _ socket: ClientSocket) {
        front.countDrop(.tlsFault)
        logger.debug("a TLS connection failed", metadata: ["peer": "\(socket.peer)", "fault": "\(fault)"])
    }

    func identified(_ version: HTTPVersionSpoken, _ socket: ClientSocket, _ context: ChannelHandlerContext) {
        switch version {
        case .http1:
            do { try speakHTTP1(socket, context) } catch { socket.closeNow() }
        case .http2:
            HTTP2Connection(socket: socket, front: front, settings: settings).start()
        }
    }

    private func speakHTTP1(_ socket: ClientSocket, _ context: ChannelHandlerContext) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = settings.http2.headerBytesMax
        limits.maxHeaderFieldSize = settings.http2.headerBytesMax
        limits.maxHeaderFieldCount = settings.http2.headersMax
        let encoder = HTTPResponseEncoder()
        let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits))
        let http = HTTPFrontHandler(front: front, idleTimeout: settings.handshakeTimeout)
        let door = WebSocketDoor(front: front, socket: socket, settings: settings)
        let pipelining = HTTPServerPipelineHandler()
        let protocolErrors = HTTPServerProtocolErrorHandler()
        let upgrade = HTTPServerUpgradeHandler(
            upgraders: [door], httpEncoder: encoder, extraHTTPHandlers: [decoder, pipelining, protocolErrors, http]
        ) { _ in }
        try context.pipeline.syncOperations.addHandlers([encoder, decoder, pipelining, protocolErrors, upgrade, http])
    }
}
