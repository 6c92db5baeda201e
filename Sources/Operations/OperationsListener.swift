import Hummingbird
import HummingbirdCore
import Logging
import MeshCore
import NIOCore
import TLS

public enum OperationsError: Error, CustomStringConvertible, Sendable {
    case cannotListen(host: String, port: Int, cause: String)

    public var description: String {
        switch self {
        case .cannotListen(let host, let port, let cause): "the operations listener cannot listen on \(host):\(port): \(cause)"
        }
    }
}

/// The HTTP listener for load balancers, SREs and Prometheus.
public struct OperationsListener: Sendable {
    /// Bounds for whoever is slow or hostile.
    public struct Limits: Hashable, Sendable {
        /// A connection that sends no whole request for this long is closed.
        public var idle = TimeSpan.seconds(30)
        /// From the connection to the end of the TLS handshake.
        public var handshake = TimeSpan.seconds(10)
        /// Past it nobody is accepted until a connection ends.
        public var connectionsMax = 256
        public var headerBytesMax = 16 << 10
        public var headersMax = 100
        public init() {}
    }

    private let host: String
    private let port: Int
    private let inspector: any RelayInspector
    private let encryption: TLSCredentials?
    private let logger: Logger
    private let limits: Limits

    /// - Parameters:
    ///   - port: 0 lets the system choose.
    ///   - encryption: set: HTTPS, and nothing else.
    public init(
        host: String, port: Int, inspector: any RelayInspector, encryption: TLSCredentials? = nil, logger: Logger, limits: Limits = .init()
    ) {
        self.host = host
        self.port = port
        self.inspector = inspector
        self.encryption = encryption
        self.logger = logger
        self.limits = limits
    }

    /// Answers once the port is bound. Fails with `OperationsError.cannotListen`.
    public func start() async throws -> RunningOperations {
        let (bound, announce) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
        let application = application { channel in
            announce.yield(channel.localAddress?.port ?? 0)
        }
        // Detached: a task that inherits the process's graceful shutdown would end the listener at its first moment, and a draining node
        // has to go on saying that it drains.
        let task = Task.detached {
            defer { announce.finish() }
            try await application.run()
        }
        for await port in bound { return RunningOperations(port: port, task: task) }
        let cause = await task.result
        throw OperationsError.cannotListen(host: host, port: port, cause: Self.describe(cause))
    }

    private func application(_ onServerRunning: @escaping @Sendable (any Channel) async -> Void) -> Application<OperationsResponder> {
        let decoder = HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: limits.headerBytesMax, maxHeaderListSize: limits.headerBytesMax, maxHeaderFieldCount: limits.headersMax)
        let http = HTTP1Channel.Configuration(
            idleTimeout: .nanoseconds(limits.idle.nanoseconds), httpDecoderConfiguration: decoder)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return Application(
            responder: OperationsResponder(inspector: inspector),
            server: encryption.map { .https($0, handshakeTimeout: limits.handshake, configuration: http) } ?? .http1(configuration: http),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(limits.connectionsMax, logger: quiet)),
            onServerRunning: onServerRunning,
            logger: quiet)
    }

    private static func describe(_ result: Result<Void, any Error>) -> String {
        switch result {
        case .success: "it ended at once"
        case .failure(let error): "\(error)"
        }
    }
}

/// A listener that accepts requests until it is stopped.
public struct RunningOperations: Sendable {
    /// The port that is bound.
    public let port: Int
    private let task: Task<Void, any Error>

    init(port: Int, task: Task<Void, any Error>) {
        self.port = port
        self.task = task
    }

    /// Stops listening and closes what is open. Idempotent.
    public func stop() async {
        task.cancel()
        _ = await task.result
    }
}
