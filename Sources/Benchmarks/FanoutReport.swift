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
        public var bytesPerDelivery: Double
    }

    public struct Ratio: Codable, Sendable {
        public var window: Int?
        public var rate: Int?
        /// Deliveries a second of the relay over those of the baseline, round by round.
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
        lines.append(row(["server", "pace", "deliveries/s", "publishes/s", "p50 ms", "p99 ms", "max ms", "sends/dlv", "bytes/dlv"]))
        for (server, window, rate) in groups() {
            let group = runs.filter { $0.server == server && $0.window == window && $0.rate == rate }
            lines.append(row([server, Self.pace(window, rate)] + figures(group)))
        }
        for (server, bytes) in idleBytesPerConnection.sorted(by: { $0.key < $1.key }) {
            lines.append("\(server): \(bytes) bytes of RSS per idle connection")
        }
        for ratio in ratios {
            let pace = Self.pace(ratio.window, ratio.rate)
            lines.append("relay / baseline, \(pace): \(fixed(ratio.median, 2)) (median of \(ratio.rounds.count))")
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ group: [Run]) -> [String] {
        func middle(_ value: (Run) -> Double) -> Double { median(group.map(value)) }
        let sends = group.compactMap(\.sendsPerDelivery)
        return [
            fixed(middle(\.deliveriesPerSecond), 0), fixed(middle(\.publishesPerSecond), 0), fixed(middle(\.latencyMsP50), 2),
            fixed(middle(\.latencyMsP99), 2), fixed(middle(\.latencyMsMax), 2), sends.isEmpty ? "-" : fixed(median(sends), 3),
            fixed(middle(\.bytesPerDelivery), 1),
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

    private func row(_ cells: [String]) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, 12 - cell.count))
            return index < 2 ? cell + padding : padding + cell
        }.joined(separator: " ")
    }
}

/// The middle value, or the mean of the two; 0 of none.
func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
