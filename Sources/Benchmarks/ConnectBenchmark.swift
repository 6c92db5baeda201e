import TLS
import Wire

/// Measures how many clients a second find a session: connect, hello, welcome, close. All routes lead to one relay, and take turns in every
/// round. Blocks the thread that runs it.
public struct ConnectBenchmark {
    public struct Options: Sendable {
        public var routes: [ConnectRoute] = []
        /// Handshakes under way.
        public var concurrency = 32
        public var encoding = FrameEncoding.json
        public var seconds = 2.0
        public var warmUpSeconds = 0.5
        public var rounds = 3
        public init() {}
    }

    /// Users who come and go in turn.
    private static let users = 1000

    private let options: Options
    private let host: BenchmarkHost

    public init(options: Options, host: BenchmarkHost) {
        self.options = options
        self.host = host
    }

    public func run() throws -> ConnectReport {
        Machine.raiseDescriptorLimit()
        let processors = Machine.processorsApart()
        let server = try host.start(.relay, processor: processors?.server)
        defer { server.stop() }
        if let processors { Machine.pin(to: processors.load) }
        let tokens = try (0..<Self.users).map { try server.token(user: "user-\($0)") }
        var report = ConnectReport(
            concurrency: options.concurrency, secondsPerRun: options.seconds, serverProcessor: processors?.server,
            loadProcessor: processors?.load)
        for round in 1...max(1, options.rounds) {
            for route in routes {
                host.progress("\(route.name), round \(round)")
                report.runs.append(try measure(route, server, tokens))
            }
        }
        report.addRatios(to: Self.reference.name)
        return report
    }

    private static let reference = ConnectRoute.door(.webSocket)

    /// The reference first, whether it was asked for or not.
    private var routes: [ConnectRoute] { [Self.reference] + options.routes.filter { $0 != Self.reference } }

    // MARK: One run

    private func measure(_ route: ConnectRoute, _ server: ServerProcess, _ tokens: [String]) throws -> ConnectReport.Run {
        let target = LoadTarget(host: "127.0.0.1", port: server.address.port, trustFile: server.address.trustFile)
        let tls = try target.tlsContext(for: route.door)
        let workers = Workers(concurrency: options.concurrency, seconds: options.seconds, warmUpSeconds: options.warmUpSeconds)
        let (handshakes, used) = try workers.measure(server, tokens: tokens) { [encoding = options.encoding] number in
            var worker = ConnectWorker(route, encoding: encoding, target: target, tls: tls, number: number)
            return { token in try worker.comeAndGo(token: token) }
        }
        return ConnectReport.Run(route: route.name, handshakes: handshakes, used: used)
    }
}
