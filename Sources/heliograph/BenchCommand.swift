import ArgumentParser
import Benchmarks
import Foundation
import Wire

/// `heliograph bench NAME`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure Heliograph on this machine.",
        subcommands: [
            BenchFanoutCommand.self, BenchConnectCommand.self, BenchPublishCommand.self, BenchResumeCommand.self,
            BenchPresenceCommand.self,
        ])

    /// Prints what a benchmark has found, or why it has found nothing.
    static func report(_ body: () throws -> String) throws {
        do {
            print(try body())
        } catch let error as BenchmarkError {
            tell("bench: \(error)")
            throw ExitCode(1)
        }
    }

    static func host(cells: Int) -> BenchmarkHost {
        BenchmarkHost(serverArguments: BenchServerCommand.arguments(cells: cells), progress: tell)
    }

    /// Says what is going on.
    @Sendable static func tell(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}

/// Encodings as the command line has them.
enum BenchEncoding: String, ExpressibleByArgument, CaseIterable {
    case json
    case proto

    var frames: FrameEncoding { self == .json ? .json : .protobuf }
}
