import Wire

/// Measures how many durable publishes a second a relay with a real Redis acknowledges, and how many messages `redis-benchmark` gets through the
/// same script of the same Redis. Both take turns in every round. Blocks the thread that runs it.
public struct PublishBenchmark {
    public struct Options: Sendable {
        /// Rooms, one case each.
        public var rooms = [1, 64]
        public var sessions = 64
        /// Publishes under way of each session.
        public var window = 16
        public var payloadBytes = 128
        public var encoding = FrameEncoding.json
        public var seconds = 3.0
        public var warmUpSeconds = 1.0
        public var rounds = 3
        public var cells = 1
        /// The relay's own.
        public var appendScript: String
        public init(appendScript: String) { self.appendScript = appendScript }
    }

    private let options: Options
    private let host: BenchmarkHost

    public init(options: Options, host: BenchmarkHost) {
        self.options = options
        self.host = host
    }

    public func run() throws -> PublishReport {
        Machine.raiseDescriptorLimit()
        // Three processes share what there is: nobody is pinned.
        let server = try host.start(.relayWithRedis)
        defer { server.stop() }
        guard let port = server.address.redisPort else { throw BenchmarkError.serverFailed("the relay has no Redis") }
        let redis = try BenchmarkRedis(port: port)
        let reference = try AppendReference(redis, script: options.appendScript)
        var report = PublishReport(
            sessions: options.sessions, window: options.window, payloadBytes: options.payloadBytes, encoding: "\(options.encoding)",
            cells: options.cells, secondsPerRun: options.seconds, processors: Machine.allowedProcessors().count)
        for count in options.rooms {
            let rooms = (0..<count).map { "bench-\(count)-\($0)" }
            let load = try PublishLoad(
                dialect: Dialect(kind: .relay(.webSocket, options.encoding, .home), payloadBytes: options.payloadBytes),
                target: LoadTarget(host: "127.0.0.1", port: server.address.port), sessions: options.sessions, rooms: rooms,
                window: options.window, token: { try server.token(user: "user-\($0)") })
            for round in 1...max(1, options.rounds) {
                host.progress("\(count) room(s), round \(round)")
                let run = try measure(load, rooms: count, server, redis)
                report.runs.append(run)
                host.progress("redis-benchmark, \(run.messagesPerAppend) messages a call, round \(round)")
                report.references.append(try measure(reference, like: rooms[0], run))
            }
        }
        return report
    }

    private func measure(
        _ load: PublishLoad, rooms: Int, _ server: ServerProcess, _ redis: BenchmarkRedis
    ) throws -> PublishReport.Run {
        _ = try load.run(seconds: options.warmUpSeconds)
        let before = (try Usage(server), try redis.scriptMicroseconds(), load.acknowledged)
        let result = try load.run(seconds: options.seconds)
        let used = try Usage(server).since(before.0)
        let published = load.acknowledged - before.2
        guard used.acknowledged == published else {
            throw BenchmarkError.protocolFailed("\(published) answers, and \(used.acknowledged) publishes that were acknowledged")
        }
        return PublishReport.Run(
            rooms: rooms, result.latency, perSecond: Double(result.acknowledged) / result.seconds, published: published, used,
            redisMicroseconds: try redis.scriptMicroseconds() - before.1)
    }

    private func measure(_ reference: AppendReference, like model: String, _ run: PublishReport.Run) throws -> PublishReport.Reference {
        let batch = max(1, Int(run.messagesPerAppend.rounded()))
        // No room has more than two appends under way, and no room has one without a publish.
        let callsInFlight = min(2 * run.rooms, max(1, options.sessions * options.window / batch))
        let calls = max(100, Int(run.acknowledgedPerSecond / Double(batch) * options.seconds))
        let rate = try reference.measure(like: model, batch: batch, callsInFlight: callsInFlight, cells: options.cells, calls: calls)
        return PublishReport.Reference(rooms: run.rooms, messagesPerCall: batch, callsInFlight: callsInFlight, messagesPerSecond: rate)
    }
}
