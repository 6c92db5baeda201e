import ArgumentParser
import Benchmarks
import Foundation

/// `heliograph bench presence`.
struct BenchPresenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presence", abstract: "How many joins and leaves a second a room takes, by its size.",
        discussion: """
            Some sessions join a room and leave it again and again, one is told of it, and all others stay. The relay has a redis-server of \
            its own: what each change costs there is counted, and what each session and each member costs in the relay's memory. After \
            every run the count that was told is checked.
            """)

    @Option(help: "Numbers of members who stay, separated by commas: one case each.") var members = "10,1000,10000"
    @Option(help: "Sessions that join and leave.") var concurrency = 16
    @Option(help: "json or proto.") var encoding = BenchEncoding.json
    @Option(help: "Seconds of each run.") var seconds = 3.0
    @Option(help: "Rounds of each case.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Flag(help: "Print the report as JSON.") var json = false

    /// Those who stay say nothing, and must not be given up for dead meanwhile.
    private static let secondsMax = 20.0

    func validate() throws {
        guard (1...1024).contains(concurrency), rounds >= 1, cells >= 1 else {
            throw ValidationError("counts must be positive, and --concurrency at most 1024")
        }
        guard seconds > 0, seconds * Double(rounds) <= Self.secondsMax else {
            throw ValidationError("--seconds must be above 0, and all rounds together at most 20 seconds")
        }
        _ = try parsedMembers()
    }

    private func parsedMembers() throws -> [Int] {
        let numbers = try members.split(separator: ",").map { text in
            guard let number = Int(text), (1...15_000).contains(number) else { throw ValidationError("not a number of members: \(text)") }
            return number
        }
        guard !numbers.isEmpty else { throw ValidationError("--members needs at least one number") }
        return numbers
    }

    func run() async throws {
        var options = PresenceBenchmark.Options()
        options.members = try parsedMembers()
        options.concurrency = concurrency
        options.encoding = encoding.frames
        options.seconds = seconds
        options.rounds = rounds
        let benchmark = PresenceBenchmark(options: options, host: BenchCommand.host(cells: cells))
        try BenchCommand.report { () throws in
            let report = try benchmark.run()
            return json ? try report.json() : report.table()
        }
    }
}
