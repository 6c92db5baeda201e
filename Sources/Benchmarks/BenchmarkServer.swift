import Foundation

/// What a server process of the benchmark runs.
public protocol BenchmarkServer: Sendable {
    /// Starts to listen on 127.0.0.1.
    func start() async throws -> BenchmarkAddress
    /// A credential for a user; the load generator asks for one per connection. Empty for a server without a protocol.
    func token(user: String) async throws -> String
    /// What has been sent to clients since the start.
    func counters() async -> BenchmarkCounters
    /// Leaves nothing behind.
    func stop() async throws
}

/// Where a server listens on 127.0.0.1.
public struct BenchmarkAddress: Sendable, Hashable {
    public var port: Int
    /// Of a server that speaks TLS beside cleartext: the authority that has signed its certificate, PEM. Without spaces.
    public var trustFile: String?

    /// Of the server's own Redis, on 127.0.0.1.
    public var redisPort: Int?

    public init(port: Int, trustFile: String? = nil, redisPort: Int? = nil) {
        self.port = port
        self.trustFile = trustFile
        self.redisPort = redisPort
    }
}

/// What a server has done since its start.
public struct BenchmarkCounters: Sendable, Hashable {
    /// Calls of `send` or the like to clients, and the bytes they took.
    public var sends: UInt64
    public var bytes: UInt64
    /// Publishes that were acknowledged, and the batches in which they were appended.
    public var acknowledged: UInt64
    public var appendBatches: UInt64

    public init(sends: UInt64, bytes: UInt64, acknowledged: UInt64 = 0, appendBatches: UInt64 = 0) {
        self.sends = sends
        self.bytes = bytes
        self.acknowledged = acknowledged
        self.appendBatches = appendBatches
    }
}

/// The child's side of the pipe between load process and server process. One command a line on standard input, one line of
/// answer on standard output:
///
///     (at the start)  ->  ready PORT [TRUST-FILE [REDIS-PORT]]
///     token NAME      ->  token TEXT
///     stats           ->  stats SENDS BYTES ACKNOWLEDGED APPEND-BATCHES CPU-NANOSECONDS
///     end of input    ->  the process exits
public enum BenchmarkServerProcess {
    /// Runs a server until standard input ends.
    /// - Parameter processor: the one to pin this process to; nil: do not pin.
    public static func run(_ server: some BenchmarkServer, processor: Int?) async throws {
        Machine.raiseDescriptorLimit()
        if let processor { Machine.pin(to: processor) }
        let address = try await server.start()
        answer("ready \(address.port) \(address.trustFile ?? "") \(address.redisPort.map(String.init) ?? "")")
        for await line in commandLines() {
            let words = line.split(separator: " ", maxSplits: 1)
            switch words.first {
            case "token": answer("token \(try await server.token(user: words.count > 1 ? String(words[1]) : ""))")
            case "stats":
                let counters = await server.counters()
                answer(
                    "stats \(counters.sends) \(counters.bytes) \(counters.acknowledged) \(counters.appendBatches) \(Machine.processorNanoseconds())"
                )
            default: answer("error unknown command")
            }
        }
        try await server.stop()
    }

    /// Standard input is read on a thread of its own: `readLine` blocks.
    private static func commandLines() -> AsyncStream<String> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
            }
        }
    }

    private static func answer(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
}
