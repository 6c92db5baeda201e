import Testing
import Wire

@testable import Benchmarks

@Suite struct DoorTests {
    @Test func routesHaveNames() {
        for name in [
            "ws", "wss", "h2", "h2s", "grpc", "grpcs", "h2-ws", "h2s-ws", "wss-resumed", "h2s-ws-resumed", "h2-stream", "grpcs-stream",
        ] {
            #expect(ConnectRoute(name: name)?.name == name)
        }
        for name in ["", "http", "ws-resumed", "h2-resumed", "ws-stream", "wss-stream", "-stream", "h2-ws-resumed"] {
            #expect(ConnectRoute(name: name) == nil, "\(name)")
        }
    }

    @Test func everyDoorIsComparedWithAWebSocketOfItsEncoding() {
        #expect(BenchmarkDoor.secureWebSocket.encoding(for: .protobuf) == .protobuf)
        #expect(BenchmarkDoor.stream.encoding(for: .protobuf) == .json)
        #expect(BenchmarkDoor.call.encoding(for: .json) == .grpc)
        #expect(BenchmarkDoor.call.referenceEncoding(for: .json) == .protobuf)
        #expect(BenchmarkDoor.secureStream.referenceEncoding(for: .protobuf) == .json)
        for door in BenchmarkDoor.allCases { #expect(FrameEncoding.webSocket.contains(door.referenceEncoding(for: .json))) }
    }
}

@Suite struct RatioTests {
    private func run(_ server: String, _ rate: Double, window: Int) -> FanoutReport.Run {
        FanoutReport.Run(
            server: server, window: window, deliveriesPerSecond: rate, publishesPerSecond: 1, latencyMsP50: 1, latencyMsP99: 1,
            latencyMsMax: 1, bytesPerDelivery: 1, loadProcessorShare: 0.5)
    }

    @Test func roundsAreComparedOneByOneAndWindowsApart() {
        let runs = [
            run("ws", 100, window: 1), run("h2", 50, window: 1), run("ws", 10, window: 1), run("h2", 20, window: 1),
            run("ws", 100, window: 64), run("h2", 300, window: 64),
        ]
        let ratios = FanoutReport.ratios(of: "h2", to: "ws", in: runs)
        #expect(ratios.map(\.rounds) == [[0.5, 2], [3]])
        #expect(ratios.map(\.median) == [1.25, 3])
        #expect(ratios.map(\.window) == [1, 64])
        #expect(FanoutReport.ratios(of: "ws", to: nil, in: runs).isEmpty)
    }

    @Test func routesAreComparedWithTheReference() {
        var report = ConnectReport(concurrency: 1, secondsPerRun: 1, serverProcessor: nil, loadProcessor: nil)
        for (route, rate) in [("ws", 100.0), ("wss", 50.0), ("ws", 200.0), ("wss", 50.0)] {
            report.runs.append(
                ConnectReport.Run(
                    route: route, handshakesPerSecond: rate, latencyMsP50: 1, latencyMsP99: 2, serverMicrosecondsPerHandshake: 3,
                    serverProcessorShare: 0.5, loadProcessorShare: 0.25))
        }
        report.addRatios(to: "ws")
        #expect(report.ratios.map(\.rounds) == [[0.5, 0.25]])
        #expect(report.ratios.map(\.route) == ["wss"])
        #expect(report.table().contains("wss / ws: 0.38 (median of 2)"))
    }
}
