import Wire

/// Measures how fast one published message reaches many subscribers, each time against something else in the same invocation. Blocks the
/// thread that runs it.
public struct FanoutBenchmark {
    public enum Target: Sendable {
        /// Our own relay and a bare broadcast server, each in a process of its own; A B A B ... for every pace.
        case relayAndBaseline
        case baselineOnly
        /// Our own relay behind each of these doors, a process for each, against its plain WebSocket of the same encoding.
        case doors([BenchmarkDoor])
        /// A relay that runs already: no memory, no count of sends, no ratio.
        case running(host: String, port: Int, tokens: [String])
    }

    public struct Options: Sendable {
        public var connections = 1000
        /// Sessions that share an HTTP/2 connection.
        public var streams = 64
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
    private let host: BenchmarkHost

    public init(options: Options, host: BenchmarkHost) {
        self.options = options
        self.host = host
    }

    public func run() throws -> FanoutReport {
        Machine.raiseDescriptorLimit()
        let processors = Machine.processorsApart()
        var contestants: [FanoutContestant] = []
        defer { for contestant in contestants { contestant.process?.stop() } }
        for entry in entries { contestants.append(try start(entry, processors?.server)) }
        if let processors { Machine.pin(to: processors.load) }
        for index in contestants.indices {
            host.progress("\(contestants[index].name): \(options.connections) sessions")
            try contestants[index].prepare(sessions: options.connections)
            for other in contestants[...index] { try other.load.keepAlive() }
        }
        let runs = try measure(contestants)
        return FanoutReport(
            connections: options.connections, payloadBytes: options.payloadBytes, durability: "\(options.durability)",
            encoding: "\(options.encoding)", cells: options.cells, secondsPerRun: options.seconds,
            serverProcessor: contestants.contains { $0.process != nil } ? processors?.server : nil, loadProcessor: processors?.load,
            idleBytesPerConnection: Dictionary(uniqueKeysWithValues: contestants.compactMap { c in c.idleBytes.map { (c.name, $0) } }),
            runs: runs,
            ratios: contestants.flatMap { contestant in FanoutReport.ratios(of: contestant.name, to: contestant.reference, in: runs) })
    }

    // MARK: - Contestants

    private struct Entry: Hashable {
        var name: String
        var reference: String?
        /// Nil for the baseline.
        var door: BenchmarkDoor?
        var encoding: FrameEncoding
    }

    /// Every reference stands before what is compared with it.
    private var entries: [Entry] {
        let relay = Entry(name: "relay", reference: "baseline", door: .webSocket, encoding: options.encoding)
        let baseline = Entry(name: "baseline", door: nil, encoding: options.encoding)
        switch options.target {
        case .relayAndBaseline: return [relay, baseline]
        case .baselineOnly: return [baseline]
        case .running: return [relay]
        case .doors(let doors): return doorEntries(doors)
        }
    }

    private func doorEntries(_ doors: [BenchmarkDoor]) -> [Entry] {
        var entries: [Entry] = []
        for door in doors {
            let encoding = door.encoding(for: options.encoding)
            let comparable = door.referenceEncoding(for: options.encoding)
            let reference = Entry(name: Self.name(.webSocket, comparable), door: .webSocket, encoding: comparable)
            if !entries.contains(reference) { entries.append(reference) }
            if door != .webSocket {
                entries.append(Entry(name: Self.name(door, encoding), reference: reference.name, door: door, encoding: encoding))
            }
        }
        return entries
    }

    private static func name(_ door: BenchmarkDoor, _ encoding: FrameEncoding) -> String {
        switch encoding {
        case .json: "\(door.rawValue) json"
        case .protobuf, .grpc: "\(door.rawValue) proto"
        }
    }

    private func start(_ entry: Entry, _ processor: Int?) throws -> FanoutContestant {
        let kind = entry.door.map { Dialect.Kind.relay($0, entry.encoding, options.durability) } ?? .bare
        let dialect = Dialect(kind: kind, payloadBytes: options.payloadBytes)
        if case .running(let host, let port, let tokens) = options.target {
            return try FanoutContestant(name: entry.name, dialect: dialect, host: host, port: port, tokens: tokens)
        }
        host.progress("starting \(entry.name)")
        return try FanoutContestant(
            name: entry.name, reference: entry.reference, dialect: dialect, streams: options.streams,
            serverArguments: host.arguments(for: entry.door == nil ? .baseline : .relay, processor: processor))
    }

    // MARK: - Runs

    /// The contestants take turns within a round: the machine's mood changes between rounds and hardly within one.
    private func measure(_ contestants: [FanoutContestant]) throws -> [FanoutReport.Run] {
        let paces: [LoadGenerator.Pace] = options.rate.map { [.rate($0)] } ?? options.windows.map { .window($0) }
        var runs: [FanoutReport.Run] = []
        for pace in paces {
            for round in 1...max(1, options.rounds) {
                for contestant in contestants {
                    host.progress("\(contestant.name): \(pace), round \(round)")
                    runs.append(try contestant.run(pace, seconds: options.seconds, warmUpSeconds: options.warmUpSeconds))
                    for other in contestants { try other.load.keepAlive() }
                }
            }
        }
        return runs
    }
}
