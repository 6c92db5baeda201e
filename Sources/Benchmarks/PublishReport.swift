import Foundation

/// The result of `bench publish`, for people and for machines.
public struct PublishReport: Codable, Sendable {
    public struct Run: Codable, Sendable {
        public var rooms: Int
        public var acknowledgedPerSecond: Double
        public var latencyMsP50: Double
        public var latencyMsP99: Double
        public var latencyMsMax: Double
        /// Messages that the relay appended with one call of the script.
        public var messagesPerAppend: Double
        /// Processor time of the relay for each publish.
        public var serverMicrosecondsPerPublish: Double
        /// Time that Redis spent in scripts for each publish.
        public var redisMicrosecondsPerPublish: Double
        /// How much of a processor the relay used.
        public var serverProcessorShare: Double
        /// The same of the load.
        public var loadProcessorShare: Double
    }

    /// What `redis-benchmark` got through the same script, right after the run of the same number.
    public struct Reference: Codable, Sendable {
        public var rooms: Int
        public var messagesPerCall: Int
        public var callsInFlight: Int
        public var messagesPerSecond: Double
    }

    public var sessions: Int
    public var window: Int
    public var payloadBytes: Int
    public var encoding: String
    public var cells: Int
    public var secondsPerRun: Double
    /// That relay, Redis and load, or Redis and `redis-benchmark`, share.
    public var processors: Int
    public var runs: [Run] = []
    public var references: [Reference] = []

    public init(
        sessions: Int, window: Int, payloadBytes: Int, encoding: String, cells: Int, secondsPerRun: Double, processors: Int
    ) {
        self.sessions = sessions
        self.window = window
        self.payloadBytes = payloadBytes
        self.encoding = encoding
        self.cells = cells
        self.secondsPerRun = secondsPerRun
        self.processors = processors
    }

    public func json() throws -> String {
        var report = Printed(report: self)
        report.ratios = cases.map { rooms in Printed.Ratio(rooms: rooms, rounds: ratios(rooms: rooms), median: median(ratios(rooms: rooms)))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    /// With what follows from it.
    private struct Printed: Encodable {
        struct Ratio: Encodable {
            var rooms: Int
            var rounds: [Double]
            var median: Double
        }
        var report: PublishReport
        var ratios: [Ratio] = []

        enum Key: CodingKey { case ratios }

        func encode(to encoder: any Encoder) throws {
            try report.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(ratios, forKey: .ratios)
        }
    }

    /// In the order of their first runs.
    var cases: [Int] { runs.reduce(into: []) { cases, run in if !cases.contains(run.rooms) { cases.append(run.rooms) } } }

    /// Acknowledged publishes over messages of the reference, round by round.
    func ratios(rooms: Int) -> [Double] {
        zip(runs.filter { $0.rooms == rooms }, references.filter { $0.rooms == rooms }).map { run, reference in
            run.acknowledgedPerSecond / max(1, reference.messagesPerSecond)
        }
    }

    /// A table of the medians over the rounds.
    public func table() -> String {
        var lines = [
            "publish, HOME: \(sessions) sessions, \(window) under way of each, \(payloadBytes) bytes, \(encoding), \(cells) cell(s), "
                + "\(processors) processors"
        ]
        lines.append(
            textRow([
                "rooms", "", "acks/s", "p50 ms", "p99 ms", "max ms", "msg/append", "relay us/msg", "redis us/msg", "relay cpu", "load cpu",
            ]))
        for rooms in cases { lines.append(textRow(["\(rooms)", ""] + figures(runs.filter { $0.rooms == rooms }))) }
        for rooms in cases {
            let group = references.filter { $0.rooms == rooms }
            let rate = fixed(median(group.map(\.messagesPerSecond)), 0)
            let calls = "\(group.last?.messagesPerCall ?? 0) messages a call, \(group.last?.callsInFlight ?? 0) calls in flight"
            lines.append("redis-benchmark, same script, \(calls): \(rate) messages/s")
            lines.append("relay / redis-benchmark, \(rooms) room(s): \(fixed(median(ratios(rooms: rooms)), 2)) (median of \(group.count))")
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        return [
            fixed(middle(\.acknowledgedPerSecond), 0), fixed(middle(\.latencyMsP50), 2), fixed(middle(\.latencyMsP99), 2),
            fixed(middle(\.latencyMsMax), 2), fixed(middle(\.messagesPerAppend), 1), fixed(middle(\.serverMicrosecondsPerPublish), 1),
            fixed(middle(\.redisMicrosecondsPerPublish), 1), percent(group.map(\.serverProcessorShare)),
            percent(group.map(\.loadProcessorShare)),
        ]
    }
}

extension PublishReport.Run {
    init(rooms: Int, _ latency: Histogram, perSecond: Double, published: UInt64, _ used: Usage, redisMicroseconds: Double) {
        let count = Double(max(1, published))
        self.rooms = rooms
        acknowledgedPerSecond = perSecond
        latencyMsP50 = Double(latency.percentile(0.5)) / 1e6
        latencyMsP99 = Double(latency.percentile(0.99)) / 1e6
        latencyMsMax = Double(latency.maximum) / 1e6
        messagesPerAppend = count / Double(max(1, used.appendBatches))
        serverMicrosecondsPerPublish = Double(used.serverNanoseconds ?? 0) / 1e3 / count
        redisMicrosecondsPerPublish = redisMicroseconds / count
        serverProcessorShare = used.serverShare ?? 0
        loadProcessorShare = used.loadShare
    }
}
