import MeshCore
import NIOCore
import NIOPosix
import TLS
import Wire

/// Opens transports to relays.
///
/// From the socket up a pipeline has TLS if the URL asks for it, what opens the transport (a WebSocket upgrade or an HTTP/2 stream), and
/// a `SessionHandler`. Each handler shows those behind it a channel that becomes active when its part is done.
struct ClientDialer: Sendable {
    let transport: ClientTransport
    let group: any EventLoopGroup
    /// For TCP, TLS and the opening together.
    let timeout: TimeSpan
    private let tls: ClientTLS

    init(_ options: ClientOptions, group: any EventLoopGroup) {
        transport = options.transport
        self.group = group
        timeout = options.connectTimeout
        tls = ClientTLS(options.tls, applicationProtocol: options.transport.applicationProtocol)
    }

    /// - Parameter onFrames: called on the event loop, in order, with what the relay sent.
    func dial(
        _ url: RelayURL, onFrames: @escaping @Sendable ([RelayServerFrame]) -> Void
    ) async throws(AttemptFailure) -> ClientConnection {
        if url.isEncrypted { do { try tls.loaded() } catch { throw AttemptFailure(error) } }
        let loop = group.next()
        let outcome = SessionHandler.Outcome(opened: loop.makePromise(), closed: loop.makePromise())
        let traffic = Traffic()
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(.nanoseconds(timeout.nanoseconds))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let session = SessionHandler(transport, traffic: traffic, outcome: outcome, onFrames: onFrames)
                        try channel.pipeline.syncOperations.addHandlers(try handlers(for: url) + [session])
                    }
                }
                .connect(host: url.host, port: url.port).get()
        } catch {
            outcome.opened.fail(error)
            outcome.closed.succeed(.transport("never connected"))
            throw AttemptFailure(error as? HeliographClientError ?? .connectFailed(ConnectionFailure.describe(error)))
        }
        try await open(channel, outcome)
        return ClientConnection(channel: channel, encoding: transport.encoding, traffic: traffic, closed: outcome.closed.futureResult)
    }

    private func handlers(for url: RelayURL) throws(HeliographClientError) -> [any ChannelHandler] {
        var handlers: [any ChannelHandler] = []
        if url.isEncrypted {
            let session = try tls.session(for: url)
            handlers += [TLSHandler(session, handshakeTimeout: timeout), ResumptionKeeper(session, of: tls, url)]
        }
        switch transport {
        case .webSocket(let format): handlers.append(WebSocketUpgradeHandler(transport, format, url: url))
        case .webSocketOverHTTP2, .ndjson, .grpc:
            handlers.append(HTTP2StreamHandler(StreamRequest(transport: transport, url: url)))
        }
        return handlers
    }

    private func open(_ channel: any Channel, _ outcome: SessionHandler.Outcome) async throws(AttemptFailure) {
        let deadline = channel.eventLoop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) {
            channel.triggerUserOutboundEvent(AbortEvent(cause: .transport("not open within \(timeout)")), promise: nil)
        }
        defer { deadline.cancel() }
        do {
            try await outcome.opened.futureResult.get()
        } catch {
            throw AttemptFailure(error)
        }
    }
}

/// Why an attempt to connect failed: for the application, and for the policy.
struct AttemptFailure: Error {
    let error: HeliographClientError
    let cause: DisconnectCause
    /// The wait that a refusal asks for.
    let retryAfter: TimeSpan

    init(_ error: any Error) {
        self.init(error, DisconnectCause(error))
    }

    init(_ error: any Error, _ cause: DisconnectCause, retryAfter: TimeSpan = .zero) {
        self.error = error as? HeliographClientError ?? .connectFailed("\(error)")
        self.cause = cause
        self.retryAfter = retryAfter
    }
}
