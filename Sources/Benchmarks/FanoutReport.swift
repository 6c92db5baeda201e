import Foundation

/// The result of a fan-out benchmark, for people and for machines.
public struct FanoutReport: Codable, Sendable {
    public struct Run: Codable, Sendable {
        public var server: String
        /// Messages under way; nil in an open loop.
        public var window: Int?
        /// Messages a second in an open loop.
        public var rate: Int?
        public var deliveriesPerSecond: Double
        public var publishesPerSecond: Double
        public var latencyMsP50: Double
        public var latencyMsP99: Double
        public var latencyMsMax: Double
        /// Calls of `send` by the server; nil if the server is not ours to ask.
        public var sendsPerDelivery: Double?
        /// Off the wire: with frames, headers and records.
        public var bytesPerDelivery: Double
        /// Processor time of the server; nil if it is not ours to ask.
        public var serverNanosecondsPerDelivery: Double?
        /// How much of a processor the server used; nil if it is not ours to ask.
        public var serverProcessorShare: Double?
        /// The same of the load: near 1 it is the load that was measured.
        public var loadProcessorShare: Double
    }

    public struct Ratio: Codable, Sendable {
        public var server: String
        public var reference: String
        public var window: Int?
        public var rate: Int?
        /// Deliveries a second of the server over those of the reference, round by round.
        public var rounds: [Double]
        public var median: Double
    }

    public var connections: Int
    public var payloadBytes: Int
    public var durability: String
    public var encoding: String
    public var cells: Int
    public var secondsPerRun: Double
    /// The processors of server and load; nil if they share them all.
    public var serverProcessor: Int?
    public var loadProcessor: Int?
    /// Resident bytes per idle connection (after hello, before any subscription), by server.
    public var idleBytesPerConnection: [String: Int]
    public var runs: [Run]
    public var ratios: [Ratio]

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// A table of the medians over the rounds.
    public func table() -> String {
        var lines = ["fan-out: \(connections) connections, \(payloadBytes) bytes, \(durability), \(encoding), \(cells) cell(s)"]
        lines.append(
            textRow([
                "server", "pace", "deliveries/s", "publishes/s", "p50 ms", "p99 ms", "max ms", "sends/dlv", "bytes/dlv", "cpu ns/dlv",
                "server cpu",
                "load cpu",
            ]))
        for (server, window, rate) in groups() {
            let group = runs.filter { $0.server == server && $0.window == window && $0.rate == rate }
            lines.append(textRow([server, Self.pace(window, rate)] + figures(group)))
        }
        for (server, bytes) in idleBytesPerConnection.sorted(by: { $0.key < $1.key }) {
            lines.append("\(server): \(bytes) bytes of RSS per idle connection")
        }
        for ratio in ratios {
            let pace = Self.pace(ratio.window, ratio.rate)
            lines.append("\(ratio.server) / \(ratio.reference), \(pace): \(fixed(ratio.median, 2)) (median of \(ratio.rounds.count))")
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        func known(_ value: (Run) -> Double?, _ digits: Int) -> String {
            let values = group.compactMap(value)
            return values.isEmpty ? "-" : fixed(median(values), digits)
        }
        return [
            fixed(middle(\.deliveriesPerSecond), 0), fixed(middle(\.publishesPerSecond), 0), fixed(middle(\.latencyMsP50), 2),
            fixed(middle(\.latencyMsP99), 2), fixed(middle(\.latencyMsMax), 2), known(\.sendsPerDelivery, 3),
            fixed(middle(\.bytesPerDelivery), 1), known(\.serverNanosecondsPerDelivery, 0),
            percent(group.compactMap(\.serverProcessorShare)), percent(group.map(\.loadProcessorShare)),
        ]
    }

    private func groups() -> [(String, Int?, Int?)] {
        var groups: [(String, Int?, Int?)] = []
        for run in runs where !groups.contains(where: { $0 == (run.server, run.window, run.rate) }) {
            groups.append((run.server, run.window, run.rate))
        }
        return groups
    }

    private static func pace(_ window: Int?, _ rate: Int?) -> String {
        window.map { "window \($0)" } ?? rate.map { "\($0)/s" } ?? "-"
    }
}

extension FanoutReport {
    /// Round by round, because the machine's mood changes between rounds and hardly within one.
    static func ratios(of server: String, to reference: String?, in runs: [Run]) -> [Ratio] {
        guard let reference else { return [] }
        var ratios: [Ratio] = []
        for (run, measure) in zip(runs.filter { $0.server == server }, runs.filter { $0.server == reference }) {
            let ratio = run.deliveriesPerSecond / max(1, measure.deliveriesPerSecond)
            if let last = ratios.indices.last, ratios[last].window == run.window, ratios[last].rate == run.rate {
                ratios[last].rounds.append(ratio)
            } else {
                ratios.append(Ratio(server: server, reference: reference, window: run.window, rate: run.rate, rounds: [ratio], median: 0))
            }
        }
        for index in ratios.indices { ratios[index].median = median(ratios[index].rounds) }
        return ratios
    }
}
