import Foundation
import Testing

/// `heliograph bench`, for a fraction of a second: that every door is measured, not how fast it is.
@Suite(.serialized) struct BenchTests {
    private struct Fanout: Decodable {
        struct Run: Decodable {
            var server: String
            var deliveriesPerSecond: Double
            var sendsPerDelivery: Double
        }
        struct Ratio: Decodable {
            var server: String
            var reference: String
            var rounds: [Double]
        }
        var runs: [Run]
        var ratios: [Ratio]
    }

    private struct Connect: Decodable {
        struct Run: Decodable {
            var route: String
            var handshakesPerSecond: Double
        }
        struct Ratio: Decodable {
            var route: String
        }
        var runs: [Run]
        var ratios: [Ratio]
    }

    private struct Publish: Decodable {
        struct Run: Decodable {
            var rooms: Int
            var acknowledgedPerSecond: Double
            var messagesPerAppend: Double
            var redisMicrosecondsPerPublish: Double
        }
        struct Reference: Decodable {
            var messagesPerCall: Int
            var callsInFlight: Int
            var messagesPerSecond: Double
        }
        struct Ratio: Decodable {
            var rooms: Int
            var rounds: [Double]
        }
        var runs: [Run]
        var references: [Reference]
        var ratios: [Ratio]
    }

    private struct Presence: Decodable {
        struct Run: Decodable {
            var members: Int
            var changesPerSecond: Double
            var redisCallsPerChange: Double
            var pushesPerSecond: Double
        }
        struct Memory: Decodable {
            var members: Int
        }
        var runs: [Run]
        var memory: [Memory]
    }

    private func bench<Report: Decodable>(_ arguments: String...) async throws -> Report {
        let result = try await Program.run(Program.heliograph, ["bench"] + arguments + ["--json"], within: .seconds(60))
        try #require(result.code == 0, "\(result.errors)")
        return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    @Test("fan-out through every door") func fanout() async throws {
        let report: Fanout = try await bench(
            "fanout", "--transport", "wss,h2,h2s,grpc,grpcs,h2-ws,h2s-ws", "--connections", "20", "--streams", "8", "--seconds", "0.2",
            "--rounds", "1")
        let doors = ["ws json", "wss json", "h2 json", "h2s json", "ws proto", "grpc proto", "grpcs proto", "h2-ws json", "h2s-ws json"]
        #expect(report.runs.map(\.server) == doors)
        #expect(report.runs.allSatisfy { $0.deliveriesPerSecond > 0 && $0.sendsPerDelivery > 0 })
        #expect(report.ratios.map(\.server) == doors.filter { !$0.hasPrefix("ws ") })
        #expect(
            report.ratios.allSatisfy { $0.reference == ($0.server.hasSuffix("proto") ? "ws proto" : "ws json") && $0.rounds.count == 1 })
    }

    @Test("fan-out against the baseline") func baseline() async throws {
        let report: Fanout = try await bench("fanout", "--connections", "20", "--seconds", "0.2", "--rounds", "1", "--encoding", "proto")
        #expect(report.runs.map(\.server) == ["relay", "baseline"])
        #expect(report.ratios.map(\.reference) == ["baseline"])
    }

    @Test("coming and going by every door") func connect() async throws {
        let routes = [
            "ws", "wss", "wss-resumed", "h2", "h2-stream", "h2s", "h2s-resumed", "grpc", "grpc-stream", "grpcs", "h2-ws", "h2s-ws",
        ]
        let report: Connect = try await bench(
            "connect", "--transport", routes.joined(separator: ","), "--concurrency", "4", "--seconds", "0.2", "--rounds", "1")
        #expect(report.runs.map(\.route) == routes)
        #expect(report.runs.allSatisfy { $0.handshakesPerSecond > 0 })
        #expect(report.ratios.map(\.route) == Array(routes.dropFirst()))
    }

    @Test("durable publishes, and redis-benchmark on the same server") func publish() async throws {
        let report: Publish = try await bench(
            "publish", "--rooms", "1,3", "--sessions", "6", "--window", "4", "--seconds", "0.2", "--rounds", "1")
        #expect(report.runs.map(\.rooms) == [1, 3] && report.ratios.map(\.rooms) == [1, 3])
        #expect(report.runs.allSatisfy { $0.acknowledgedPerSecond > 0 && $0.messagesPerAppend >= 1 && $0.redisMicrosecondsPerPublish > 0 })
        #expect(report.references.allSatisfy { $0.messagesPerSecond > 0 && $0.messagesPerCall >= 1 })
        #expect((1...2).contains(report.references[0].callsInFlight), "a room has two appends under way at most")
        #expect(report.ratios.allSatisfy { $0.rounds.count == 1 })
    }

    @Test("joins and leaves of a room, small and large") func presence() async throws {
        let report: Presence = try await bench("presence", "--members", "10,600", "--concurrency", "4", "--seconds", "0.3", "--rounds", "1")
        #expect(report.runs.map(\.members) == [10, 600] && report.memory.map(\.members) == [10, 600])
        #expect(report.runs.allSatisfy { $0.changesPerSecond > 0 && $0.redisCallsPerChange > 0 && $0.redisCallsPerChange < 1 })
        #expect(report.runs.allSatisfy { $0.pushesPerSecond > 0 })
    }

    @Test(
        "what cannot be measured is refused",
        arguments: [
            ["fanout", "--transport", "carrier-pigeon"], ["fanout", "--transport", "h2", "--streams", "0"],
            ["fanout", "--transport", "h2", "--baseline-only"], ["fanout", "--encoding", "xml"], ["connect", "--transport", "ws-resumed"],
            ["connect", "--concurrency", "0"], ["presence", "--members", "0"], ["presence", "--seconds", "30"],
            ["publish", "--rooms", "65"], ["publish", "--window", "1025"], ["resume", "--missed", "0"],
        ]) func refused(arguments: [String]) async throws
    {
        let result = try await Program.run(Program.heliograph, ["bench"] + arguments)
        #expect(result.code == 64 && result.errors.contains("Error"), "\(result.errors)")
    }
}
