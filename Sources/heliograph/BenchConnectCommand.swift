import ArgumentParser
import Benchmarks
import Foundation

/// `heliograph bench connect`.
struct BenchConnectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect", abstract: "How many clients a second find a session, by each door.",
        discussion: """
            Each of them connects, says hello, hears welcome and leaves as its transport wants it. The doors are those of `bench fanout`. \
            With -resumed a TLS session is gone on with instead of a full handshake; with -stream the HTTP/2 connection is open already. \
            All doors take turns in every round, and the median ratio to ws is printed.
            """)

    @Option(help: "Doors, separated by commas.") var transport = "ws,wss,wss-resumed,h2,h2-stream,grpc,h2-ws"
    @Option(help: "Handshakes under way.") var concurrency = 32
    @Option(help: "json or proto, where the door has both.") var encoding = BenchEncoding.json
    @Option(help: "Seconds of each run.") var seconds = 2.0
    @Option(help: "Rounds of each door.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Flag(help: "Print the report as JSON.") var json = false

    func validate() throws {
        guard (1...1024).contains(concurrency), seconds > 0, rounds >= 1, cells >= 1 else {
            throw ValidationError("counts must be positive, and --concurrency at most 1024")
        }
        _ = try routes()
    }

    func run() async throws {
        var options = ConnectBenchmark.Options()
        options.routes = try routes()
        options.concurrency = concurrency
        options.encoding = encoding.frames
        options.seconds = seconds
        options.rounds = rounds
        let benchmark = ConnectBenchmark(
            options: options, host: BenchCommand.host(cells: cells))
        try BenchCommand.report { () throws in
            let report = try benchmark.run()
            return json ? try report.json() : report.table()
        }
    }

    private func routes() throws -> [ConnectRoute] {
        try transport.split(separator: ",").map { name in
            guard let route = ConnectRoute(name: String(name)) else { throw ValidationError("not a door: \(name)") }
            return route
        }
    }
}
