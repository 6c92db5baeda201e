import Membership
import MeshCore
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

@Suite("Mesh links: traffic", .timeLimit(.minutes(1)))
struct MeshTrafficTests {
    private func pair(_ settings: LinkSettings = .quick) async throws -> (LinkedNode, LinkedNode) {
        let a = try await LinkedNode.start("a", settings: settings)
        let b = try await LinkedNode.start("b", settings: settings)
        try await b.setPeers(["a": 1])
        try await a.setPeers(["b": try await b.port()])
        _ = try await (a.linkUp(), b.linkUp())
        return (a, b)
    }

    @Test("frames of each lane arrive in order and whole, from several threads, both ways at once")
    func keepsOrder() async throws {
        let (a, b) = try await pair()
        let count = 3000
        for (sender, receiver) in [(a, b), (b, a)] {
            let link = try #require(sender.link)
            await withTaskGroup(of: Void.self) { group in
                for lane in LinkLane.allCases {
                    group.addTask {
                        for number in 0..<count { link.send(frame("\(number)", lane), lane: lane) }
                    }
                }
            }
            try await eventually("all have arrived") {
                LinkLane.allCases.allSatisfy { receiver.texts($0).count == count }
            }
            for lane in LinkLane.allCases { #expect(receiver.texts(lane) == (0..<count).map(String.init)) }
            #expect(link.figures.framesOut >= UInt64(2 * count))
        }
        try await eventually("nothing waits") { a.link?.figures.queuedBytes == 0 && b.link?.figures.queuedBytes == 0 }
        try await a.stop()
        try await b.stop()
    }

    @Test("a heartbeat overtakes a replay that still waits in this process")
    func controlFirst() async throws {
        let accepted = Mutex<RawPeer?>(nil)
        let server = try await RawPeer.listen(reading: false) { peer in accepted.withLock { $0 = peer } }
        let a = try await LinkedNode.start("a")
        try await a.setPeers(["b": try #require(server.localAddress?.port)])
        try await eventually("the dial") { accepted.withLock { $0 != nil } }
        let peer = try #require(accepted.withLock { $0 })
        try await eventually("it is active") { peer.channel.isActive }
        try await peer.say(hello("b"))
        let link = try await a.linkUp()
        let bulk = frame(String(repeating: "x", count: 8 << 10))
        let replay = 3000
        for _ in 0..<replay { #expect(link.send(bulk, lane: .tree)) }
        try await eventually("the kernel takes no more") { link.figures.bytesOut > 0 }
        #expect(link.send(frame("beat", .control), lane: .control))
        try await peer.channel.setOption(.autoRead, value: true).get()
        try await eventually("everything has left") { link.figures.queuedBytes < 1000 }
        try await eventually("everything has arrived") { peer.receivedBytes >= replay * bulk.readableBytes }
        let before = try #require(peer.treeFramesBeforeControl())
        #expect(before < replay / 2, "\(before) of \(replay) frames of the replay went first")
        try await server.close()
        try await a.stop()
    }

    @Test("a peer that never reads: the link ends at the bound, nothing grows beyond it")
    func boundsQueue() async throws {
        var settings = LinkSettings.quick
        settings.queueBytesMax = 1 << 20
        let accepted = Mutex<RawPeer?>(nil)
        let server = try await RawPeer.listen(reading: false) { peer in accepted.withLock { $0 = peer } }
        let a = try await LinkedNode.start("a", settings: settings)
        try await a.setPeers(["b": try #require(server.localAddress?.port)])
        try await eventually("the dial") { accepted.withLock { $0?.channel.isActive ?? false } }
        try await accepted.withLock { $0 }?.say(hello("b"))
        let link = try await a.linkUp()
        let bulk = frame(String(repeating: "x", count: 64 << 10))
        try await eventually("the bound") {
            #expect(link.figures.queuedBytes <= 1 << 20)
            return !link.send(bulk, lane: .tree)
        }
        try await eventually("down") { a.downs.count == 1 }
        #expect(a.downs == ["queue_full: more than 1048576 bytes wait"])
        #expect(try await a.drops(.linkQueueFull) == 1)
        #expect(!link.send(frame("late"), lane: .tree))
        try await eventually("the memory is given back") { link.figures.queuedBytes == 0 }
        try await server.close()
        try await a.stop()
    }

    @Test("what was sent before a clean close arrives")
    func flushesOnClose() async throws {
        var settings = LinkSettings.quick
        settings.lingerMost = .seconds(10)
        let (a, b) = try await pair(settings)
        let link = try #require(a.link)
        let bulk = frame(String(repeating: "x", count: 100_000))
        for _ in 0..<100 { #expect(link.send(bulk, lane: .tree)) }
        #expect(link.send(frame("last"), lane: .tree))
        try await a.stop()
        try await eventually("the last frame") { b.texts(.tree).last == "last" }
        #expect(b.texts(.tree).count == 101)
        try await eventually("b is told") { b.downs == ["closed by the peer"] }
        try await b.stop()
    }

    @Test("a frame of the greatest size passes; one byte more ends the link")
    func frameBound() async throws {
        var settings = LinkSettings.quick
        settings.frameBytesMax = 100_001
        let (a, b) = try await pair(settings)
        let link = try #require(a.link)
        #expect(link.send(frame(String(repeating: "x", count: 100_000)), lane: .tree))
        try await eventually("it arrives") { b.texts(.tree) == ["bytes 100000"] }
        #expect(link.send(frame(String(repeating: "x", count: 100_001)), lane: .tree))
        try await eventually("down") { b.downs.count == 1 }
        #expect(b.downs == ["a frame of 100002 bytes, at most 100001 are allowed"])
        #expect(try await b.drops(.frameTooLarge) == 1)
        try await a.stop()
        try await b.stop()
    }
}

extension RawPeer {
    /// How many tree frames came before the first control frame; nil when none has come.
    func treeFramesBeforeControl() -> Int? {
        var bytes = receivedSoFar
        var decoder = MeshFrameDecoder(frameBytesMax: 8 << 20)
        var count = 0
        while let frame = try? decoder.next(&bytes) {
            if frame.lane == LinkLane.control.rawValue { return count }
            if frame.lane == LinkLane.tree.rawValue { count += 1 }
        }
        return nil
    }
}
