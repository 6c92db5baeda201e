import MeshCore
import Testing

@testable import HTTP2

@Suite("Floods")
struct FloodGuardTests {
    @Test("kinds have buckets of their own") func kinds() {
        var limits = HTTP2Limits()
        (limits.controlFramesPerSecondMax, limits.resetsPerSecondMax, limits.windowUpdatesPerSecondMax) = (1, 2, 3)
        var guardian = FloodGuard(limits, now: .zero)
        for (kind, most) in [(FloodGuard.Kind.control, 10), (.reset, 20), (.windowUpdate, 30)] {
            let taken = (0..<100).count { _ in guardian.count(kind, now: .zero) }
            #expect(taken == most)
        }
        guardian.sentData(bytes: 10 << 10)
        let windowUpdates = (0..<100).count { _ in guardian.count(.windowUpdate, now: .zero) }
        let pings = (0..<100).count { _ in guardian.count(.control, now: .zero) }
        let resets = guardian.count(.reset, now: .zero)
        #expect(windowUpdates == 12 && pings == 1 && !resets)
    }
}

@Suite("Header fields")
struct HTTP2HeadersTests {
    @Test("lists are taken apart, over several fields too") func lists() {
        var headers: HTTP2Headers = ["a": "x, y ,", "b": "z"]
        headers.add("a", "\tw")
        #expect(headers.list("a") == ["x", "y", "w"] && headers.list("c").isEmpty)
        #expect(headers["a"] == "x, y ," && headers["c"] == nil)
    }
}
