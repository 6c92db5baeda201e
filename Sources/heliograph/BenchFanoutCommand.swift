import ArgumentParser
import Benchmarks
import Foundation
import HeliographClient
import Wire

/// `heliograph bench fanout`.
struct BenchFanoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout", abstract: "How fast one message reaches many subscribers.",
        discussion: """
            Starts its own server processes and loads them from this one, each on a processor of its own where there are two. One session \
            publishes; a message is under way until every session has it, and the window says how many may be.

            Without --transport the relay is compared with a bare broadcast server. With it the relay behind each door is compared with \
            its plain WebSocket: ws, wss, h2 (streams of JSON lines), grpc, h2-ws (WebSockets on HTTP/2), and with TLS h2s, grpcs, h2s-ws. \
            The contestants take turns in every round, and the median ratio of the rounds is printed. If the load uses its whole processor, \
            it is the load that was measured; the server's processor time for each delivery holds anyway.
            """)

    @Option(help: "Doors to compare, separated by commas.") var transport: String?
    @Option(help: "Subscribed sessions.") var connections = 1000
    @Option(help: "Sessions that share an HTTP/2 connection.") var streams = 64
    @Option(help: "Bytes of text in a message.") var payload = 128
    @Option(help: "Messages under way.") var window = 16
    @Option(help: "Several windows, separated by commas, instead of one.") var windows: String?
    @Option(help: "Messages a second in an open loop, instead of a window.") var rate: Int?
    @Option(help: "ephemeral, home or mesh.") var durability = "ephemeral"
    @Option(help: "json or proto; h2 is always json, grpc always proto.") var encoding = BenchEncoding.json
    @Option(help: "Seconds of each run.") var seconds = 2.0
    @Option(help: "Rounds of each window.") var rounds = 3
    @Option(help: "Event loops of the relay.") var cells = 1
    @Option(help: "A relay that runs already, instead of own servers.") var url: String?
    @Option(help: "A token for --url.") var token: String?
    @Flag(help: "Measure the baseline alone.") var baselineOnly = false
    @Flag(help: "Print the report as JSON.") var json = false

    /// Sessions that wait for their turn are looked after between the runs of others, and must not be given up for dead meanwhile.
    private static let secondsMax = 30.0

    func validate() throws {
        guard connections >= 1, payload >= 0, rounds >= 1, cells >= 1, rate ?? 1 >= 1 else {
            throw ValidationError("counts must be positive")
        }
        guard seconds > 0, seconds <= Self.secondsMax else { throw ValidationError("--seconds must be above 0 and at most 30") }
        guard (1...256).contains(streams) else { throw ValidationError("--streams must be from 1 to 256") }
        guard !(try parsedWindows()).isEmpty else { throw ValidationError("--windows needs at least one number") }
        _ = try parsedDurability()
        _ = try parsedDoors()
        if url != nil, token == nil { throw ValidationError("--url needs --token") }
        if transport != nil, url != nil || baselineOnly {
            throw ValidationError("--transport compares own servers: it goes with neither --url nor --baseline-only")
        }
    }

    func run() async throws {
        let benchmark = FanoutBenchmark(
            options: try options(), host: BenchCommand.host(cells: cells))
        try BenchCommand.report { () throws in
            let report = try benchmark.run()
            return json ? try report.json() : report.table()
        }
    }

    private func options() throws -> FanoutBenchmark.Options {
        var options = FanoutBenchmark.Options()
        options.connections = connections
        options.streams = streams
        options.payloadBytes = payload
        options.windows = try parsedWindows()
        options.rate = rate
        options.durability = try parsedDurability()
        options.encoding = encoding.frames
        options.seconds = seconds
        options.rounds = rounds
        options.cells = cells
        options.target = try target()
        return options
    }

    private func target() throws -> FanoutBenchmark.Target {
        if baselineOnly { return .baselineOnly }
        if let doors = try parsedDoors() { return .doors(doors) }
        guard let url, let token else { return .relayAndBaseline }
        let address = try RelayURL(url)
        return .running(host: address.host, port: address.port, tokens: [token])
    }

    private func parsedDoors() throws -> [BenchmarkDoor]? {
        try transport?.split(separator: ",").map { name in
            guard let door = BenchmarkDoor(rawValue: String(name)) else { throw ValidationError("not a door: \(name)") }
            return door
        }
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
}
