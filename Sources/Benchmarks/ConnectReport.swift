import Foundation

/// The result of `bench connect`, for people and for machines.
public struct ConnectReport: Codable, Sendable {
    public struct Run: Codable, Sendable {
        public var route: String
        public var handshakesPerSecond: Double
        public var latencyMsP50: Double
        public var latencyMsP99: Double
        /// Processor time of the server.
        public var serverMicrosecondsPerHandshake: Double
        /// How much of a processor the server used.
        public var serverProcessorShare: Double
        /// The same of the load: near 1 it is the load that was measured.
        public var loadProcessorShare: Double
    }

    public struct Ratio: Codable, Sendable {
        public var route: String
        public var reference: String
        /// Handshakes a second of the route over those of the reference, round by round.
        public var rounds: [Double]
        public var median: Double
    }

    /// Handshakes under way.
    public var concurrency: Int
    public var secondsPerRun: Double
    /// The processors of server and load; nil if they share them all.
    public var serverProcessor: Int?
    public var loadProcessor: Int?
    public var runs: [Run] = []
    public var ratios: [Ratio] = []

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// A table of the medians over the rounds.
    public func table() -> String {
        var lines = ["connect, hello, welcome, close: \(concurrency) under way"]
        lines.append(textRow(["route", "", "handshakes/s", "p50 ms", "p99 ms", "cpu us/each", "server cpu", "load cpu"]))
        for route in routes {
            let group = runs.filter { $0.route == route }
            lines.append(textRow([route, ""] + figures(group)))
        }
        for ratio in ratios {
            lines.append("\(ratio.route) / \(ratio.reference): \(fixed(ratio.median, 2)) (median of \(ratio.rounds.count))")
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        return [
            fixed(middle(\.handshakesPerSecond), 0), fixed(middle(\.latencyMsP50), 2), fixed(middle(\.latencyMsP99), 2),
            fixed(middle(\.serverMicrosecondsPerHandshake), 0), percent(group.map(\.serverProcessorShare)),
            percent(group.map(\.loadProcessorShare)),
        ]
    }

    /// In the order of their first runs.
    private var routes: [String] {
        runs.reduce(into: []) { routes, run in if !routes.contains(run.route) { routes.append(run.route) } }
    }

    /// Round by round, because the machine's mood changes between rounds and hardly within one.
    mutating func addRatios(to reference: String) {
        let measures = runs.filter { $0.route == reference }
        for route in routes where route != reference {
            let rounds = zip(runs.filter { $0.route == route }, measures).map { run, measure in
                run.handshakesPerSecond / max(1, measure.handshakesPerSecond)
            }
            ratios.append(Ratio(route: route, reference: reference, rounds: rounds, median: median(rounds)))
        }
    }
}

extension ConnectReport.Run {
    init(route: String, handshakes: Histogram, used: Usage) {
        self.route = route
        handshakesPerSecond = Double(handshakes.count) / used.seconds
        latencyMsP50 = Double(handshakes.percentile(0.5)) / 1e6
        latencyMsP99 = Double(handshakes.percentile(0.99)) / 1e6
        serverMicrosecondsPerHandshake = Double(used.serverNanoseconds ?? 0) / 1e3 / Double(max(1, handshakes.count))
        serverProcessorShare = used.serverShare ?? 0
        loadProcessorShare = used.loadShare
    }
}
