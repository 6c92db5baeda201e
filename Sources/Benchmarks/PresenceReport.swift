import Foundation

/// The result of `bench presence`, for people and for machines.
public struct PresenceReport: Codable, Sendable {
    public struct Run: Codable, Sendable {
        /// Who stay.
        public var members: Int
        /// Joins and leaves.
        public var changesPerSecond: Double
        /// Of a join and the leave behind it, each answered.
        public var latencyMsP50: Double
        public var latencyMsP99: Double
        /// Processor time of the relay.
        public var serverMicrosecondsPerChange: Double
        /// Round trips to Redis, and commands within them.
        public var redisCallsPerChange: Double
        public var redisCommandsPerChange: Double
        /// To one session that is told of the members.
        public var pushesPerSecond: Double
        public var serverProcessorShare: Double
        public var loadProcessorShare: Double
    }

    public struct Memory: Codable, Sendable {
        public var members: Int
        /// Resident memory of the relay for a session that has said hello, and what it needs more when it is in a room.
        public var bytesPerSession: Double
        public var bytesPerMember: Double
    }

    public var concurrency: Int
    public var encoding: String
    public var secondsPerRun: Double
    /// That relay, Redis and load share.
    public var processors: Int
    public var runs: [Run] = []
    public var memory: [Memory] = []

    public init(concurrency: Int, encoding: String, secondsPerRun: Double, processors: Int) {
        self.concurrency = concurrency
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
        var lines = ["presence: \(concurrency) sessions join and leave a room, \(encoding), \(processors) processors"]
        lines.append(
            textRow([
                "members", "", "changes/s", "p50 ms", "p99 ms", "cpu us/each", "redis calls", "commands", "pushes/s", "relay cpu",
                "load cpu",
            ]))
        for memory in memory {
            lines.append(textRow(["\(memory.members)", ""] + figures(runs.filter { $0.members == memory.members })))
        }
        for memory in memory {
            lines.append(
                "\(memory.members) members: \(fixed(memory.bytesPerSession, 0)) bytes for a session, "
                    + "\(fixed(memory.bytesPerMember, 0)) more in the room")
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        return [
            fixed(middle(\.changesPerSecond), 0), fixed(middle(\.latencyMsP50), 2), fixed(middle(\.latencyMsP99), 2),
            fixed(middle(\.serverMicrosecondsPerChange), 0), fixed(middle(\.redisCallsPerChange), 4),
            fixed(middle(\.redisCommandsPerChange), 4), fixed(middle(\.pushesPerSecond), 1), percent(group.map(\.serverProcessorShare)),
            percent(group.map(\.loadProcessorShare)),
        ]
    }
}

extension PresenceReport.Run {
    /// - Parameter changes: since before the warm-up, like what is counted of Redis and pushes.
    init(
        members: Int, _ times: Histogram, _ used: Usage, changes: Int, redisCalls: Double, redisCommands: Double, pushes: Int
    ) {
        self.members = members
        changesPerSecond = 2 * Double(times.count) / used.seconds
        latencyMsP50 = Double(times.percentile(0.5)) / 1e6
        latencyMsP99 = Double(times.percentile(0.99)) / 1e6
        serverMicrosecondsPerChange = Double(used.serverNanoseconds ?? 0) / 1e3 / Double(max(1, 2 * times.count))
        redisCallsPerChange = redisCalls / Double(max(1, changes))
        redisCommandsPerChange = redisCommands / Double(max(1, changes))
        pushesPerSecond = Double(pushes) / Double(max(1, changes)) * changesPerSecond
        serverProcessorShare = used.serverShare ?? 0
        loadProcessorShare = used.loadShare
    }
}
