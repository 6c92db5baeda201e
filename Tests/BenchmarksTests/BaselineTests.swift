import Testing

@testable import Benchmarks

/// The load generator against the baseline, in one process over real sockets.
@Suite(.timeLimit(.minutes(1))) struct BaselineTests {
    @Test(arguments: [LoadGenerator.Pace.window(1), .window(16), .rate(500)]) func everyMessageReachesEveryConnection(
        pace: LoadGenerator.Pace
    ) async throws {
        let server = BroadcastBaseline()
        let port = try await server.start().port
        let dialect = Dialect(kind: .bare, payloadBytes: 128)
        let load = try LoadGenerator(dialect: dialect, target: LoadTarget(host: "127.0.0.1", port: port))
        try load.connect(upTo: 20) { _ in "" }
        try load.prepare()
        let result = try load.run(pace, seconds: 0.2, warmUpSeconds: 0.05)
        #expect(result.published > 0)
        #expect(result.totalDeliveries % 20 == 0)
        #expect(result.totalDeliveries >= result.deliveries)
        #expect(result.latency.percentile(0.5) > 0)
        let counters = await server.counters()
        #expect(counters.bytes == result.totalDeliveries * 132)
        #expect(counters.sends <= result.totalDeliveries)
        try await server.stop()
    }
}
