import Wire

/// One server with its load: what a fan-out benchmark compares with others.
struct FanoutContestant {
    let name: String
    /// The contestant that this one is measured against; nil for one that is itself the measure.
    let reference: String?
    /// Nil for a server that ran already.
    let process: ServerProcess?
    let load: LoadGenerator
    private let token: (Int) throws -> String
    /// Resident bytes of the server for each idle session; nil if it is not ours to ask.
    private(set) var idleBytes: Int?

    /// Starts a server by `arguments` of this same executable.
    init(name: String, reference: String?, dialect: Dialect, streams: Int, serverArguments arguments: [String]) throws {
        let process = try ServerProcess(arguments: arguments)
        let target = LoadTarget(host: "127.0.0.1", port: process.address.port, trustFile: process.address.trustFile)
        self.name = name
        self.reference = reference
        self.process = process
        load = try LoadGenerator(dialect: dialect, target: target, streams: streams)
        token = { try process.token(user: "user-\($0)") }
    }

    /// Takes a server that runs already.
    init(name: String, dialect: Dialect, host: String, port: Int, tokens: [String]) throws {
        self.name = name
        reference = nil
        process = nil
        load = try LoadGenerator(dialect: dialect, target: LoadTarget(host: host, port: port))
        token = { tokens[$0 % tokens.count] }
    }

    /// Connects everybody. Memory is compared with that after a few sessions, which have warmed allocators and tables.
    mutating func prepare(sessions: Int) throws {
        let few = min(10, sessions / 2)
        try load.connect(upTo: few, token: token)
        let before = process?.residentBytes
        try load.connect(upTo: sessions, token: token)
        if let before, let process, sessions > few {
            idleBytes = max(0, process.residentBytes - before) / (sessions - few)
        }
        try load.prepare()
    }

    // MARK: Runs

    func run(_ pace: LoadGenerator.Pace, seconds: Double, warmUpSeconds: Double) throws -> FanoutReport.Run {
        let before = try Usage(process)
        let result = try load.run(pace, seconds: seconds, warmUpSeconds: warmUpSeconds)
        let used = try Usage(process).since(before)
        let deliveries = Double(max(1, result.deliveries))
        var run = FanoutReport.Run(
            server: name, window: nil, rate: nil, deliveriesPerSecond: Double(result.deliveries) / result.seconds,
            publishesPerSecond: Double(result.published) / result.seconds, latencyMsP50: milliseconds(result.latency.percentile(0.5)),
            latencyMsP99: milliseconds(result.latency.percentile(0.99)), latencyMsMax: milliseconds(result.latency.maximum),
            sendsPerDelivery: nil, bytesPerDelivery: Double(result.bytes) / deliveries, serverNanosecondsPerDelivery: nil,
            serverProcessorShare: used.serverShare, loadProcessorShare: used.loadShare)
        switch pace {
        case .window(let size): run.window = size
        case .rate(let rate): run.rate = rate
        }
        guard result.totalDeliveries > 0 else { return run }
        run.sendsPerDelivery = used.sends.map { Double($0) / Double(result.totalDeliveries) }
        run.serverNanosecondsPerDelivery = used.serverNanoseconds.map { Double($0) / Double(result.totalDeliveries) }
        return run
    }

    private func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }
}
