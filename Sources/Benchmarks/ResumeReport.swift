import Foundation

/// The result of `bench resume`, for people and for machines.
public struct ResumeReport: Codable, Sendable {
    public struct Run: Codable, Sendable {
        public var rooms: Int
        public var sessionsPerSecond: Double
        /// Every one was counted and in its place.
        public var messagesPerSecond: Double
        /// From connecting to the end of the close; between them come all missed messages.
        public var latencyMsP50: Double
        public var latencyMsP99: Double
        /// Processor time of the relay.
        public var serverMicrosecondsPerSession: Double
        /// How much of a processor the relay used.
        public var serverProcessorShare: Double
        /// The same of the load: it decodes every message.
        public var loadProcessorShare: Double
    }

    public var missed: Int
    public var concurrency: Int
    public var payloadBytes: Int
    public var encoding: String
    public var secondsPerRun: Double
    /// That relay, Redis and load share.
    public var processors: Int
    public var runs: [Run] = []

    public init(missed: Int, concurrency: Int, payloadBytes: Int, encoding: String, secondsPerRun: Double, processors: Int) {
        self.missed = missed
        self.concurrency = concurrency
        self.payloadBytes = payloadBytes
        self.encoding = encoding
        self.secondsPerRun = secondsPerRun
        self.processors = processors
    }

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// A table of the medians over the rounds.
    public func table() -> String {
        var lines = [
            "resume: \(missed) missed messages of \(payloadBytes) bytes each, \(concurrency) sessions at once, \(encoding), \(processors) processors"
        ]
        lines.append(textRow(["rooms", "", "sessions/s", "messages/s", "p50 ms", "p99 ms", "cpu us/each", "relay cpu", "load cpu"]))
        for rooms in cases { lines.append(textRow(["\(rooms)", ""] + figures(runs.filter { $0.rooms == rooms }))) }
        return lines.joined(separator: "\n")
    }

    private var cases: [Int] { runs.reduce(into: []) { cases, run in if !cases.contains(run.rooms) { cases.append(run.rooms) } } }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        return [
            fixed(middle(\.sessionsPerSecond), 0), fixed(middle(\.messagesPerSecond), 0), fixed(middle(\.latencyMsP50), 2),
            fixed(middle(\.latencyMsP99), 2), fixed(middle(\.serverMicrosecondsPerSession), 0), percent(group.map(\.serverProcessorShare)),
            percent(group.map(\.loadProcessorShare)),
        ]
    }
}

extension ResumeReport.Run {
    init(rooms: Int, missed: Int, _ times: Histogram, _ used: Usage) {
        self.rooms = rooms
        sessionsPerSecond = Double(times.count) / used.seconds
        messagesPerSecond = Double(missed) * sessionsPerSecond
        latencyMsP50 = Double(times.percentile(0.5)) / 1e6
        latencyMsP99 = Double(times.percentile(0.99)) / 1e6
        serverMicrosecondsPerSession = Double(used.serverNanoseconds ?? 0) / 1e3 / Double(max(1, times.count))
        serverProcessorShare = used.serverShare ?? 0
        loadProcessorShare = used.loadShare
    }
}
