import ArgumentParser
import Benchmarks
import Foundation
import Store

/// `heliograph bench publish`.
struct BenchPublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "How many durable publishes a second are acknowledged.",
        discussion: """
            A relay with a redis-server of its own (append-only file, synced every second) is loaded by sessions that each keep some publishes \
            under way, with durability HOME. In every round redis-benchmark then runs the relay's append script on the same server: with as \
            many messages a call as the relay had in a batch on average, of the same size, and with as many calls in flight as rooms can have. \
            The ratio compares acknowledged publishes with its messages. Relay, Redis and load share the processors; redis-benchmark and \
            Redis have them to themselves.
            """)

    @Option(help: "Numbers of rooms, separated by commas: one case each.") var rooms = "1,64"
    @Option(help: "Sessions that publish, spread over the rooms.") var sessions = 64
    @Option(help: "Publishes under way of each session.") var window = 16
    @Option(help: "Bytes of text in a message.") var payload = 128
    @Option(help: "json or proto.") var encoding = BenchEncoding.json
    @Option(help: "Seconds of each run.") var seconds = 3.0
    @Option(help: "Rounds of each case.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Flag(help: "Print the report as JSON.") var json = false

    /// What a room of the relay queues.
    private static let underWayMax = 4_096

    func validate() throws {
        guard sessions >= 1, window >= 1, payload >= 0, rounds >= 1, cells >= 1, seconds > 0 else {
            throw ValidationError("counts must be positive")
        }
        guard window <= 1_024, sessions * window <= Self.underWayMax else {
            throw ValidationError("--window may be 1,024, and --sessions times --window \(Self.underWayMax)")
        }
        _ = try parsedRooms()
    }

    private func parsedRooms() throws -> [Int] {
        let numbers = try rooms.split(separator: ",").map { text in
            guard let number = Int(text), (1...sessions).contains(number) else {
                throw ValidationError("not a number of rooms for \(sessions) sessions: \(text)")
            }
            return number
        }
        guard !numbers.isEmpty else { throw ValidationError("--rooms needs at least one number") }
        return numbers
    }

    func run() async throws {
        var options = PublishBenchmark.Options(appendScript: StoreScripts.append)
        options.rooms = try parsedRooms()
        options.sessions = sessions
        options.window = window
        options.payloadBytes = payload
        options.encoding = encoding.frames
        options.seconds = seconds
        options.rounds = rounds
        options.cells = cells
        let benchmark = PublishBenchmark(options: options, host: BenchCommand.host(cells: cells))
        try BenchCommand.report { () throws in
            let report = try benchmark.run()
            return json ? try report.json() : report.table()
        }
    }
}
