/// What every benchmark needs of the program that it is part of.
public struct BenchmarkHost: Sendable {
    private let serverArguments: @Sendable (_ server: BenchmarkServerKind, _ processor: Int?) -> [String]
    let progress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - serverArguments: the arguments with which this same executable runs a server.
    ///   - progress: told what is going on, a line at a time.
    public init(
        serverArguments: @escaping @Sendable (_ server: BenchmarkServerKind, _ processor: Int?) -> [String],
        progress: @escaping @Sendable (String) -> Void
    ) {
        self.serverArguments = serverArguments
        self.progress = progress
    }

    func arguments(for server: BenchmarkServerKind, processor: Int?) -> [String] { serverArguments(server, processor) }

    func start(_ server: BenchmarkServerKind, processor: Int? = nil) throws -> ServerProcess {
        progress("starting the \(server.rawValue)")
        return try ServerProcess(arguments: serverArguments(server, processor))
    }
}

/// The servers that a benchmark loads, by the names that the command line has for them.
public enum BenchmarkServerKind: String, CaseIterable, Sendable {
    /// A bare broadcast server.
    case baseline
    /// A relay with the embedded store.
    case relay
    /// A relay with a redis-server of its own.
    case relayWithRedis = "relay-redis"
}
