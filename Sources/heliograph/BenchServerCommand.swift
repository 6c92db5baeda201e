import ArgumentParser
import Benchmarks

/// The server process of a benchmark; started by `bench`, not by people.
struct BenchServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bench-server", shouldDisplay: false)

    @Argument var server: BenchmarkServerKind
    @Option var cells = 1
    @Option var processor: Int?

    /// What starts one.
    static func arguments(cells: Int) -> @Sendable (_ server: BenchmarkServerKind, _ processor: Int?) -> [String] {
        { server, processor in
            [configuration.commandName ?? "", server.rawValue, "--cells", "\(cells)"] + (processor.map { ["--processor", "\($0)"] } ?? [])
        }
    }

    func run() async throws {
        switch server {
        case .baseline: try await BenchmarkServerProcess.run(BroadcastBaseline(), processor: processor)
        case .relay: try await BenchmarkServerProcess.run(try await BenchRelay(cells: cells, withRedis: false), processor: processor)
        case .relayWithRedis:
            try await BenchmarkServerProcess.run(try await BenchRelay(cells: cells, withRedis: true), processor: processor)
        }
    }
}

extension BenchmarkServerKind: ExpressibleByArgument {}
