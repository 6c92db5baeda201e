import ArgumentParser
import Benchmarks
import Foundation
import HeliographClient
import Wire

/// `heliograph bench NAME`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure Heliograph on this machine.", subcommands: [BenchFanoutCommand.self])
}

/// `heliograph bench fanout`.
struct BenchFanoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout", abstract: "How fast one message reaches many subscribers, against a bare broadcast server.",
        discussion: """
            Starts its own server processes and loads them from this one, each on a processor of its own where there are two. \
            Relay and baseline take turns in every round, and the median ratio of the rounds is printed. One connection \
            publishes; a message is under way until every connection has it, and the window says how many may be.
            """)

    @Option(help: "Subscribed connections.") var connections = 1000
    @Option(help: "Bytes of text in a message.") var payload = 128
    @Option(help: "Messages under way.") var window = 16
    @Option(help: "Several windows, separated by commas, instead of one.") var windows: String?
    @Option(help: "Messages a second in an open loop, instead of a window.") var rate: Int?
    @Option(help: "ephemeral, home or mesh.") var durability = "ephemeral"
    @Option(help: "json or proto.") var encoding = "json"
    @Option(help: "Seconds of each run.") var seconds = 2.0
    @Option(help: "Rounds of each window.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Option(help: "A relay that runs already, instead of own servers.") var url: String?
    @Option(help: "A token for --url.") var token: String?
    @Flag(help: "Measure the baseline alone.") var baselineOnly = false
    @Flag(help: "Print the report as JSON.") var json = false

    func validate() throws {
        guard connections >= 1, payload >= 0, seconds > 0, rounds >= 1, cells >= 1, rate ?? 1 >= 1 else {
            throw ValidationError("counts must be positive")
        }
        guard !(try parsedWindows()).isEmpty else { throw ValidationError("--windows needs at least one number") }
        _ = try parsedDurability()
        _ = try parsedEncoding()
        if url != nil, token == nil { throw ValidationError("--url needs --token") }
    }

    func run() async throws {
        let cells = cells
        let benchmark = FanoutBenchmark(
            options: try options(),
            serverArguments: { server, processor in
                ["bench-server", server, "--cells", "\(cells)"] + (processor.map { ["--processor", "\($0)"] } ?? [])
            },
            progress: { line in FileHandle.standardError.write(Data((line + "\n").utf8)) })
        do {
            let report = try benchmark.run()
            print(json ? try report.json() : report.table())
        } catch let error as BenchmarkError {
            FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }

    private func options() throws -> FanoutBenchmark.Options {
        var options = FanoutBenchmark.Options()
        options.connections = connections
        options.payloadBytes = payload
        options.windows = try parsedWindows()
        options.rate = rate
        options.durability = try parsedDurability()
        options.encoding = try parsedEncoding()
        options.seconds = seconds
        options.rounds = rounds
        options.cells = cells
        if baselineOnly { options.target = .baselineOnly }
        if let url, let token {
            let address = try RelayURL(url)
            options.target = .running(host: address.host, port: address.port, tokens: [token])
        }
        return options
    }

    private func parsedWindows() throws -> [Int] {
        guard let windows else { return [window] }
        return try windows.split(separator: ",").map { text in
            guard let number = Int(text), (1...4096).contains(number) else { throw ValidationError("not a window: \(text)") }
            return number
        }
    }

    private func parsedDurability() throws -> RelayDurability {
        switch durability.lowercased() {
        case "ephemeral": .ephemeral
        case "home": .home
        case "mesh": .mesh
        default: throw ValidationError("not a durability: \(durability)")
        }
    }

    private func parsedEncoding() throws -> FrameEncoding {
        switch encoding {
        case "json": .json
        case "proto", "protobuf": .protobuf
        default: throw ValidationError("not an encoding: \(encoding)")
        }
    }
}

/// The server process of a benchmark; started by `bench`, not by people.
struct BenchServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bench-server", shouldDisplay: false)

    @Argument(help: "relay or baseline.") var server: String
    @Option var cells = 1
    @Option var processor: Int?

    func run() async throws {
        switch server {
        case "baseline": try await BenchmarkServerProcess.run(BroadcastBaseline(), processor: processor)
        case "relay": try await BenchmarkServerProcess.run(try BenchRelay(cells: cells), processor: processor)
        default: throw ValidationError("no such server: \(server)")
        }
    }
}
