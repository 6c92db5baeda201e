import ArgumentParser
import Benchmarks
import Foundation

/// `heliograph bench resume`.
struct BenchResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "How many sessions a second resume and hear what they have missed.",
        discussion: """
            Each of them connects, says hello with the position that it saw last, hears welcome and every message that it has missed, and \
            leaves. Each message is checked to be the next one. The relay has a redis-server of its own.
            """)

    @Option(help: "Numbers of rooms that the sessions come from, separated by commas: one case each.") var rooms = "1,100"
    @Option(help: "Messages that each session has missed.") var missed = 100
    @Option(help: "Sessions that resume at once.") var concurrency = 32
    @Option(help: "Bytes of text in a message.") var payload = 128
    @Option(help: "json or proto.") var encoding = BenchEncoding.json
    @Option(help: "Seconds of each run.") var seconds = 3.0
    @Option(help: "Rounds of each case.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Flag(help: "Print the report as JSON.") var json = false

    func validate() throws {
        guard (1...1024).contains(concurrency), (1...9_000).contains(missed), payload >= 0, seconds > 0, rounds >= 1, cells >= 1 else {
            throw ValidationError("counts must be positive, --concurrency at most 1024 and --missed at most 9000")
        }
        _ = try parsedRooms()
    }

    private func parsedRooms() throws -> [Int] {
        let numbers = try rooms.split(separator: ",").map { text in
            guard let number = Int(text), (1...10_000).contains(number) else { throw ValidationError("not a number of rooms: \(text)") }
            return number
        }
        guard !numbers.isEmpty else { throw ValidationError("--rooms needs at least one number") }
        return numbers
    }

    func run() async throws {
        var options = ResumeBenchmark.Options()
        options.rooms = try parsedRooms()
        options.missed = missed
        options.concurrency = concurrency
        options.payloadBytes = payload
        options.encoding = encoding.frames
        options.seconds = seconds
        options.rounds = rounds
        let benchmark = ResumeBenchmark(options: options, host: BenchCommand.host(cells: cells))
        try BenchCommand.report { () throws in
            let report = try benchmark.run()
            return json ? try report.json() : report.table()
        }
    }
}
