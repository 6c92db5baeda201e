import MeshCore
import Testing

@testable import Operations

@Suite("Prometheus text")
struct PrometheusTextTests {
    @Test("help, type, labels and their escapes")
    func escapes() {
        let family = MetricFamily(
            "heliograph_x_total", .counter, help: "One \\ line\nor two \"quoted\"",
            samples: [.init(.integer(UInt64.max)), .init(.integer(1), .init("reason", "a\"b\\c\nd"), .init("region", "eu-west"))])
        #expect(
            PrometheusText.render([family]) == #"""
                # HELP heliograph_x_total One \\ line\nor two "quoted"
                # TYPE heliograph_x_total counter
                heliograph_x_total 18446744073709551615
                heliograph_x_total{reason="a\"b\\c\nd",region="eu-west"} 1

                """#)
    }

    @Test("numbers that JSON does not have, and plain ones")
    func numbers() {
        let values: [(Double, String)] = [
            (0, "0"), (3, "3"), (-2.5, "-2.5"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (0.000_25, "0.00025"),
        ]
        for (value, text) in values {
            #expect(PrometheusText.render([.gauge("g", help: "h", value)]).hasSuffix("\ng \(text)\n"))
        }
    }

    @Test("buckets are cumulative, in seconds, and end with +Inf equal to the count")
    func histogram() {
        var latency = LatencyHistogram()
        for span in [TimeSpan.milliseconds(1), .milliseconds(1), .milliseconds(30), .seconds(60)] { latency.record(span) }
        let text = PrometheusText.render([
            MetricFamily("h_seconds", .histogram, help: "h", samples: [.init(.histogram(latency), .init("op", "append"))])
        ])
        let lines = text.split(separator: "\n")
        #expect(lines.contains(#"h_seconds_bucket{op="append",le="0.0005"} 0"#))
        #expect(lines.contains(#"h_seconds_bucket{op="append",le="0.001"} 2"#))
        #expect(lines.contains(#"h_seconds_bucket{op="append",le="0.05"} 3"#))
        #expect(lines.contains(#"h_seconds_bucket{op="append",le="+Inf"} 4"#))
        #expect(lines.contains(#"h_seconds_sum{op="append"} 60.032"#))
        #expect(lines.contains(#"h_seconds_count{op="append"} 4"#))
        #expect(lines.count == 2 + LatencyHistogram.boundsMicroseconds.count + 1 + 2)
    }

    @Test("every reason of the ledger is there, at zero too; a family without samples is left out")
    func drops() {
        var ledger = DropLedger()
        ledger.count(.linkGarbage, 3)
        let text = PrometheusText.render([.drops(ledger), MetricFamily("empty", .gauge, help: "", samples: [])])
        #expect(text.contains("heliograph_drops_total{reason=\"link_garbage\"} 3\n"))
        #expect(text.contains("heliograph_drops_total{reason=\"slow_consumer\"} 0\n"))
        #expect(!text.contains("empty"))
    }
}

@Suite("Tables for people")
struct TableTests {
    @Test("columns are as wide as their widest cell, what is wrong stands below")
    func status() async {
        let inspector = FakeInspector()
        inspector.setReady(false)
        let table = StatusTable.render(await inspector.regions(), await inspector.readiness())
        #expect(
            table == """
                REGION     STATE    NODES  SESSIONS      RTT  SHARDS  LAST SEEN
                eu-west *  UP           2      1234   0.0 ms    8192        now
                us-east    SUSPECT      1         7  81.3 ms    8192    2 s ago
                ap-south   DOWN         0         0        -       0      never

                view 1, active: eu-west, us-east
                not ready
                  redis: connection refused

                """)
    }

    @Test("a route says where and why, edges best first")
    func route() {
        let text = RouteText.render(
            RouteReport(
                room: "@alice", shard: 11_000, home: "eu-west", standby: nil, view: 3,
                edges: [
                    .init(region: "eu-west", url: "http://a", healthy: true, load: 12),
                    .init(region: "us", url: "http://b", healthy: false, load: 0.5),
                ]))
        let lines = text.split(separator: "\n")
        #expect(lines[1].hasPrefix("shard    11000  "))
        #expect(lines[3].hasPrefix("standby  none"))
        #expect(lines.suffix(2) == ["  eu-west  healthy    load 12  http://a", "  us       unhealthy  load 0.5  http://b"])
    }

    @Test("percent-encoding round trips and refuses what it cannot be")
    func percentEncoding() {
        for text in ["", "lobby", "eu/lobby", "@alice", "a b%c", "café", "{tag}x", "100%"] {
            #expect(PercentEncoding.decode(PercentEncoding.encode(text)) == text)
        }
        #expect(PercentEncoding.encode("@a/b é~") == "%40a%2Fb%20%C3%A9~")
        for text in ["%", "%4", "%zz", "%C3", "%FF"] { #expect(PercentEncoding.decode(text) == nil) }
    }
}
