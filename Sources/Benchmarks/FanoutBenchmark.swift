import Foundation
import Wire

/// Measures how fast one published message reaches many subscribers, against a bare broadcast server in the same
/// invocation. Blocks the thread that runs it.
public struct FanoutBenchmark {
    public enum Target: Sendable {
        /// Our own relay and the baseline, each in a process that `serverArguments` starts; A B A B ... for every pace.
        case relayAndBaseline
        case baselineOnly
        /// A relay that runs already: no memory, no count of sends, no ratio.
        case running(host: String, port: Int, tokens: [String])
    }

    public struct Options: Sendable {
        public var connections = 1000
        public var payloadBytes = 128
        /// Messages under way, one pace each; ignored with `rate`.
        public var windows = [16]
        /// Messages a second in an open loop.
        public var rate: Int?
        public var durability = RelayDurability.ephemeral
        public var encoding = FrameEncoding.json
        public var seconds = 2.0
        public var warmUpSeconds = 0.5
        public var rounds = 3
        public var cells = 1
        public var target = Target.relayAndBaseline
        public init() {}
    }

    private let options: Options
    private let serverArguments: @Sendable (_ server: String, _ processor: Int?) -> [String]
    private let progress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - serverArguments: the arguments with which this same executable runs a server, `relay` or `baseline`.
    ///   - progress: told what is going on, a line at a time.
    public init(
        options: Options, serverArguments: @escaping @Sendable (_ server: String, _ processor: Int?) -> [String],
        progress: @escaping @Sendable (String) -> Void
    ) {
        self.options = options
        self.serverArguments = serverArguments
        self.progress = progress
    }

    public func run() throws -> FanoutReport {
        Machine.raiseDescriptorLimit()
        let processors = Machine.allowedProcessors()
        let apart = processors.count > 1
        let serverProcessor = apart ? processors[0] : nil
        let loadProcessor = apart ? processors[1] : nil
        var contestants = try makeContestants(serverProcessor)
        defer { for contestant in contestants { contestant.process?.stop() } }
        if let loadProcessor { Machine.pin(to: loadProcessor) }
        for index in contestants.indices { try prepare(&contestants[index]) }
        let runs = try measure(contestants)
        return FanoutReport(
            connections: options.connections, payloadBytes: options.payloadBytes, durability: "\(options.durability)",
            encoding: "\(options.encoding)", cells: options.cells, secondsPerRun: options.seconds,
            serverProcessor: contestants.contains { $0.process != nil } ? serverProcessor : nil, loadProcessor: loadProcessor,
            idleBytesPerConnection: Dictionary(uniqueKeysWithValues: contestants.compactMap { c in c.idleBytes.map { (c.name, $0) } }),
            runs: runs, ratios: ratios(of: runs))
    }

    // MARK: - Contestants

    private struct Contestant {
        let name: String
        let process: ServerProcess?
        let load: LoadGenerator
        let address: (host: String, port: Int)
        let token: (Int) throws -> String
        var idleBytes: Int?
    }

    private func makeContestants(_ processor: Int?) throws -> [Contestant] {
        switch options.target {
        case .relayAndBaseline: return [try start("relay", processor), try start("baseline", processor)]
        case .baselineOnly: return [try start("baseline", processor)]
        case .running(let host, let port, let tokens):
            return [
                Contestant(
                    name: "relay", process: nil, load: try LoadGenerator(dialect: relayDialect), address: (host, port),
                    token: { tokens[$0 % tokens.count] })
            ]
        }
    }

    private var relayDialect: Dialect {
        Dialect(kind: .relay(options.encoding, options.durability), payloadBytes: options.payloadBytes)
    }

    private func start(_ name: String, _ processor: Int?) throws -> Contestant {
        progress("starting \(name)")
        let process = try ServerProcess(arguments: serverArguments(name, processor))
        let dialect = name == "relay" ? relayDialect : Dialect(kind: .bare, payloadBytes: options.payloadBytes)
        return Contestant(
            name: name, process: process, load: try LoadGenerator(dialect: dialect), address: ("127.0.0.1", process.port),
            token: { try process.token(user: "user-\($0)") })
    }

    /// Connects everybody. Memory is compared with that after a few connections, which have warmed allocators and tables.
    private func prepare(_ contestant: inout Contestant) throws {
        let few = min(10, options.connections / 2)
        progress("\(contestant.name): \(options.connections) connections")
        try connect(contestant, few)
        let before = contestant.process?.residentBytes
        try connect(contestant, options.connections)
        if let before, let process = contestant.process, options.connections > few {
            contestant.idleBytes = max(0, process.residentBytes - before) / (options.connections - few)
        }
        try contestant.load.prepare()
    }

    private func connect(_ contestant: Contestant, _ count: Int) throws {
        try contestant.load.connect(
            upTo: count, host: contestant.address.host, port: contestant.address.port, token: contestant.token)
    }

    // MARK: - Runs

    private func measure(_ contestants: [Contestant]) throws -> [FanoutReport.Run] {
        let paces: [LoadGenerator.Pace] = options.rate.map { [.rate($0)] } ?? options.windows.map { .window($0) }
        var runs: [FanoutReport.Run] = []
        for pace in paces {
            for round in 1...max(1, options.rounds) {
                for contestant in contestants {
                    progress("\(contestant.name): \(pace), round \(round)")
                    runs.append(try measure(contestant, pace))
                }
            }
        }
        return runs
    }

    private func measure(_ contestant: Contestant, _ pace: LoadGenerator.Pace) throws -> FanoutReport.Run {
        let before = try contestant.process?.counters()
        let result = try contestant.load.run(pace, seconds: options.seconds, warmUpSeconds: options.warmUpSeconds)
        let after = try contestant.process?.counters()
        return makeRun(contestant, pace, result, before, after)
    }

    private func makeRun(
        _ contestant: Contestant, _ pace: LoadGenerator.Pace, _ result: LoadGenerator.Measurement,
        _ before: BenchmarkCounters?, _ after: BenchmarkCounters?
    ) -> FanoutReport.Run {
        let deliveries = Double(max(1, result.deliveries))
        var run = FanoutReport.Run(
            server: contestant.name, window: nil, rate: nil, deliveriesPerSecond: Double(result.deliveries) / result.seconds,
            publishesPerSecond: Double(result.published) / result.seconds, latencyMsP50: milliseconds(result.latency.percentile(0.5)),
            latencyMsP99: milliseconds(result.latency.percentile(0.99)), latencyMsMax: milliseconds(result.latency.maximum),
            sendsPerDelivery: nil, bytesPerDelivery: Double(result.bytes) / deliveries)
        switch pace {
        case .window(let size): run.window = size
        case .rate(let rate): run.rate = rate
        }
        if let before, let after, result.totalDeliveries > 0 {
            run.sendsPerDelivery = Double(after.sends - before.sends) / Double(result.totalDeliveries)
        }
        return run
    }

    private func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }

    /// Round by round, because the machine's mood changes between rounds and hardly within one.
    private func ratios(of runs: [FanoutReport.Run]) -> [FanoutReport.Ratio] {
        let relay = runs.filter { $0.server == "relay" }
        let baseline = runs.filter { $0.server == "baseline" }
        guard relay.count == baseline.count else { return [] }
        var ratios: [FanoutReport.Ratio] = []
        for (a, b) in zip(relay, baseline) {
            let ratio = a.deliveriesPerSecond / max(1, b.deliveriesPerSecond)
            if ratios.last?.window == a.window, ratios.last?.rate == a.rate, !ratios.isEmpty {
                ratios[ratios.count - 1].rounds.append(ratio)
            } else {
                ratios.append(.init(window: a.window, rate: a.rate, rounds: [ratio], median: 0))
            }
        }
        for index in ratios.indices { ratios[index].median = median(ratios[index].rounds) }
        return ratios
    }
}
