import MeshCore
import NIOCore
import Operations
import Synchronization

/// A node that says what the test wants.
final class FakeInspector: RelayInspector {
    private let ready = Mutex(true)

    func setReady(_ value: Bool) { ready.withLock { $0 = value } }

    func readiness() async -> Readiness {
        let isReady = ready.withLock { $0 }
        return Readiness(ready: isReady, checks: [.init(name: "redis", ok: isReady, detail: isReady ? "up" : "connection refused")])
    }

    func regions() async -> RegionsReport {
        RegionsReport(
            view: .init(epoch: 1, active: ["eu-west", "us-east"]), own: "eu-west",
            regions: [
                .init(region: "eu-west", state: .up, nodes: 2, sessions: 1234, rttMs: 0, shardsHomed: 8192, lastSeenMs: 0),
                .init(region: "us-east", state: .suspect, nodes: 1, sessions: 7, rttMs: 81.26, shardsHomed: 8192, lastSeenMs: 2500),
                .init(region: "ap-south", state: .down, nodes: 0, sessions: 0, rttMs: nil, shardsHomed: 0, lastSeenMs: nil),
            ])
    }

    func nodes() async -> NodesReport {
        NodesReport(
            own: "eu-west/a",
            nodes: [
                .init(
                    node: "eu-west/a", region: "eu-west", boot: 1_700_000_000_000, state: .up, sessions: 3, rooms: 2, gateway: true,
                    rttMs: 0,
                    queuedBytes: 0, url: "http://127.0.0.1:7100")
            ])
    }

    func room(_ room: String) async -> RoomReport {
        let shard = Shard(room: room)
        return RoomReport(
            room: room, shard: shard.number, placement: "default", preference: ["eu-west", "us-east"], viewEpoch: 1, home: "eu-west",
            standby: "us-east", root: "eu-west/a", rosterVersion: 4, head: Position(epoch: 1, seq: 9), subscribers: ["eu-west": 2],
            members: nil, why: ["because"])
    }

    func deleteRoom(_ room: String) async -> DeletionReport { DeletionReport(room: room, regions: ["eu-west", "us-east"], missing: []) }

    func deleteUser(_ user: String) async -> DeletionReport {
        DeletionReport(user: user, regions: ["eu-west"], missing: [.init(region: "us-east", reason: "no way")])
    }

    /// More pages than anybody would keep, or none for a user who cannot be reached.
    func export(_ user: String) async -> Result<AsyncStream<ByteBuffer>, ExportFault> {
        guard user != "lost" else { return .failure(ExportFault(reason: "no way to her home")) }
        let pages = PageCounter()
        return .success(
            AsyncStream {
                let page = pages.next()
                return page <= Self.exportPages ? ByteBuffer(string: "{\"page\":\(page)}\n") : nil
            })
    }

    static let exportPages = 1_000

    func metrics() async -> [MetricFamily] {
        [.gauge("heliograph_sessions", help: "Sessions that said hello.", 3)]
    }
}

private final class PageCounter: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}
