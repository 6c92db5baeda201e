import Foundation
import HistoryChecker
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// P9: one who does not read, in a room with a thousand who do.
@Suite(
    "A slow reader in a busy room", .serialized, .mesh(yaml: "limits:\n  maxServerFrameBytes: 128KiB\n  outboxBytesMax: 512KiB"),
    .timeLimit(.minutes(3)))
struct BusyRoomTests {
    private static let readers = 999
    private static let messagesEach = 40
    /// Far more than the relay may hold for one client: what is sent to the slow one while it does not read.
    private static let heap = 3_200
    private static let heapMessageBytes = 16_000
    private static let growthBytesMax = 24 << 20
    /// The others' slowest hundredth may take this many times as long as before, on a machine that does other things too.
    private static let lagRatioMax = 4.0
    private static let lagFloor = Duration.milliseconds(50)

    let mesh: MeshUnderTest
    let node: LocalMesh.Node
    let log = ChaosLog()
    let busy = MeshUnderTest.unique("us-east/busy")
    /// A room of its own fills its buffers, so that the thousand need not read as much.
    let heap = MeshUnderTest.unique("us-east/heap")

    init() async throws {
        mesh = try .current
        node = try await mesh.node("eu-west")
    }

    @Test("costs a bounded amount of memory, disturbs nobody, and loses nothing") func slowReader() async throws {
        let crowd = try await BusyCrowd.gather(Self.readers, at: node, in: busy)
        let slow = try await slowClient()
        let writer = try await LoggedWriter(mesh: mesh, region: "us-east", log: log)
        let before = try await publish(writer, to: crowd)
        let bytes = try node.residentBytes()

        try await slow.stopReading()
        log.record(.disrupted("\(slow.user) does not read"))
        async let filling: Void = LoggedWriter(mesh: mesh, region: "us-east", log: log)
            .write(Self.heap, to: heap, text: String(repeating: "x", count: Self.heapMessageBytes))
        let during = try await publish(writer, to: crowd)
        try await filling
        let grown = try node.residentBytes() - bytes
        print("slow reader: p99 \(before) before, \(during) during; \(grown >> 10) KiB more")
        #expect(grown < Self.growthBytesMax, "\(Self.heap * Self.heapMessageBytes) bytes were sent to one who does not read")
        #expect(during < max(before, Self.lagFloor) * Self.lagRatioMax, "before \(before)")

        try await slow.resumeReading()
        log.record(.mended("\(slow.user) reads again"))
        let reader = try await TestClient.connect(node, as: MeshUnderTest.unique("reader"), encoding: .protobuf)
        for room in [busy, heap] { log.setLog(try await reader.readLog(of: room), of: room) }
        await reader.close()
        for (room, written) in log.snapshot.logs {
            let head = written.messages.last?.position ?? .zero
            try? await eventually("the slow reader is at the end of \(room)", within: .seconds(40)) { slow.hasReached(head, in: room) }
        }
        slow.stop()
        judge()
        #expect(crowd.readers.allSatisfy { $0.seen.count == 2 * Self.messagesEach && $0.seen.isInOrder }, "the others have everything")
        await crowd.leave()
    }

    private func slowClient() async throws -> ChaosClient {
        var still = ChaosClient.Habits()
        (still.publishEveryMilliseconds, still.moveEveryMilliseconds, still.freshPercent) = (nil, nil, 0)
        let slow = try await ChaosClient(
            user: MeshUnderTest.unique("slow"), reads: [busy, heap], writes: [], habits: still, seed: 1, log: log, mesh: mesh)
        slow.settle(at: node.node, receiveBytes: 4_096)
        Task { try await slow.run() }
        try await eventually("the slow one reads") { slow.isReading }
        return slow
    }

    /// One after the other to all, and the lag that 99 of 100 deliveries stay below.
    private func publish(_ writer: LoggedWriter, to crowd: BusyCrowd) async throws -> Duration {
        let mark = crowd.lagsSoFar
        for _ in 0..<Self.messagesEach {
            crowd.sent(try await writer.write(to: busy))
            try await eventually("all have it", within: .seconds(20)) { crowd.allHaveTheLast }
        }
        let lags = crowd.lags(after: mark).sorted()
        return lags[lags.count * 99 / 100]
    }

    private func judge() {
        let history = log.snapshot
        print("slow reader: \(history.counts)")
        var demands = Demands()
        (demands.acknowledgedMin, demands.seenMin, demands.disruptionsMin) = (Self.heap, Self.heap, 1)
        for violation in history.check(demands).prefix(10) { Issue.record("\(violation)") }
        for complaint in log.complaints { Issue.record("\(complaint)") }
    }
}

extension LocalMesh.Node {
    /// What the kernel keeps of it in memory.
    func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8)
        return try #require(text.split(separator: " ").dropFirst().first.flatMap { Int($0) }) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
