import Testing

@testable import Benchmarks

@Suite struct PublishReportTests {
    private func report() -> PublishReport {
        var report = PublishReport(
            sessions: 2, window: 3, payloadBytes: 4, encoding: "json", cells: 1, secondsPerRun: 1, processors: 2)
        for (rooms, rate, reference) in [(1, 50.0, 100.0), (1, 80.0, 100.0), (8, 30.0, 40.0)] {
            report.runs.append(
                PublishReport.Run(
                    rooms: rooms, acknowledgedPerSecond: rate, latencyMsP50: 1, latencyMsP99: 2, latencyMsMax: 3, messagesPerAppend: 4,
                    serverMicrosecondsPerPublish: 5, redisMicrosecondsPerPublish: 6, serverProcessorShare: 0.5, loadProcessorShare: 0.25))
            report.references.append(
                PublishReport.Reference(rooms: rooms, messagesPerCall: 4, callsInFlight: 1, messagesPerSecond: reference))
        }
        return report
    }

    @Test func roundsAreComparedOneByOneAndCasesApart() throws {
        #expect(report().ratios(rooms: 1) == [0.5, 0.8])
        #expect(report().ratios(rooms: 8) == [0.75])
        #expect(report().table().contains("relay / redis-benchmark, 1 room(s): 0.65 (median of 2)"))
        #expect(try report().json().contains("\"ratios\""))
    }

    @Test func theRateIsReadOffTheLastLine() {
        let header =
            "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max\""
        let row = "\"EVALSHA a \"b\",\"c\" d\",\"1234.50\",\"0.1\",\"0.2\",\"0.3\",\"0.4\",\"0.5\",\"0.6\""
        #expect(BenchmarkRedis.rate(of: header + "\n" + row + "\n") == 1234.5)
        #expect(BenchmarkRedis.rate(of: header) == nil && BenchmarkRedis.rate(of: "") == nil)
    }
}
