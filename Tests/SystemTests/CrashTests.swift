import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

extension FaultyMesh {
    /// SIGKILL of a relay that has sessions and is the root of rooms.
    @Suite(.serialized) struct CrashTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node

        init() async throws {
            mesh = try .current
            try await mesh.heal()
            node = try await mesh.node("us-east")
        }

        @Test("P7: its users are offline elsewhere within 10 s, and no ghost is there after its return") func ghosts() async throws {
            let room = MeshUnderTest.unique("ap-south/crash")
            let lost = MeshUnderTest.unique("us-east/crash")
            let alice = try await mesh.user("alice", homedIn: "ap-south")
            let local = try await mesh.user("local", homedIn: "us-east")
            let observer = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("bob"))
            for place in [room, lost] { try await observer.subscribe(place, presence: true) }
            _ = try await observer.watch([alice, local])
            for user in [alice, local] {
                let client = try await TestClient.connect(node, as: user)
                for place in [room, lost] {
                    try await client.subscribe(place)
                    _ = try await observer.roomPresence("\(user) in \(place)", place, after: 0) { $0.joined.contains { $0.user == user } }
                }
                _ = try await observer.userPresence(of: user, .online, after: 0)
            }
            let mark = observer.mark
            let begun = ContinuousClock.now
            try await mesh.local.kill(node.node, SIGKILL)
            _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
            let left = try await observer.wait("both left \(room)", after: mark, within: .seconds(12)) { frames -> Set<String>? in
                let left = frames.filter { $0.roomPresence.room == room }.flatMap(\.roomPresence.left)
                return left.count == 2 ? Set(left) : nil
            }
            #expect(left == [alice, local])
            _ = try await observer.userPresence(of: alice, .offline, devices: 0, after: mark, within: .seconds(12))
            #expect(ContinuousClock.now - begun < .seconds(10))

            try await mesh.local.restart(node.node)
            let back = try await TestClient.connect(node, as: MeshUnderTest.unique("carol"))
            for place in [room, lost] {
                try await back.subscribe(place, presence: true)
                try await eventually("no ghost in \(place)") {
                    try await observer.members(place).members.map(\.user) == [observer.user, back.user]
                }
            }
            // UNKNOWN until the new root has heard everybody.
            try await eventually("both are offline") {
                try await observer.watch([alice, local]).allSatisfy { $0.status == .offline && $0.devices == 0 }
            }
            _ = try await observer.userPresence(of: local, .offline, devices: 0, after: mark)
            #expect(
                !observer.recorder.record.frames.dropFirst(mark).contains { frame in
                    frame.roomPresence.joined.contains { [alice, local].contains($0.user) }
                })
            await back.close()
            await observer.close()
        }

        @Test("its rooms go on above where they were, for those who stayed") func roomsGoOn() async throws {
            let room = MeshUnderTest.unique("us-east/rooted")
            let reader = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("reader"))
            let writer = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("writer"))
            try await reader.subscribe(room)
            for n in 0..<5 { try await writer.publish(room, "\(n)", key: "k\(n)") }
            try await mesh.local.kill(node.node, SIGKILL)
            _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
            let begun = ContinuousClock.now
            let error = try await writer.error(of: .publish(.text(room, "5", key: "k5")))
            #expect(error.code == .unavailable && error.retryAfterMs > 0)
            #expect(ContinuousClock.now - begun < .seconds(12))

            try await mesh.local.restart(node.node)
            for n in 5..<10 { try await writer.publishUntilTaken(room, "\(n)", key: "k\(n)") }
            #expect(try await writer.publish(room, "again", key: "k2").duplicate)
            try await reader.expectWhole(room, until: "k9", keys: (0..<10).map { "k\($0)" })
            #expect(try await reader.history(room).messages.map(\.key) == (0..<10).map { "k\($0)" })
            await reader.close()
            await writer.close()
        }
    }
}

extension FaultyPairs {
    /// SIGKILL of one of a region's two nodes.
    @Suite(.serialized) struct RootCrashTests {
        @Test("the other node takes the rooms over: nothing lost, nothing twice, one order") func rootDies() async throws {
            let mesh = try MeshUnderTest.current
            let room = MeshUnderTest.unique("us-east/rooted")
            let root = try await mesh.root(of: room)
            let other = try #require(try await mesh.region("us-east").nodes.first { $0.node != root.node })
            var readers: [TestClient] = []
            for place in [try await mesh.node("eu-west"), try await mesh.node("ap-south", 1), other] {
                let reader = try await TestClient.connect(place, as: MeshUnderTest.unique("reader"))
                try await reader.subscribe(room, presence: true)
                readers.append(reader)
            }
            let ghost = try await TestClient.connect(root, as: MeshUnderTest.unique("ghost"))
            try await ghost.subscribe(room)
            _ = try await readers[0].roomPresence("ghost joined", room, after: 0) { $0.joined.contains { $0.user == ghost.user } }
            let writers = try await [mesh.node("eu-west", 1), mesh.node("ap-south")].asyncMap {
                try await TestClient.connect($0, as: MeshUnderTest.unique("writer"))
            }
            let mark = readers[0].mark
            let begun = ContinuousClock.now
            async let first = publish(40, as: writers[0], in: room)
            async let second = publish(40, as: writers[1], in: room)
            _ = try await readers[0].wait("traffic") { $0.messages(room).count >= 10 ? true : nil }
            try await mesh.local.kill(root.node, SIGKILL)
            let acknowledged = try await first + second
            #expect(acknowledged.count == 80)
            let end = try await writers[0].publishUntilTaken(room, "end", key: "end")
            for reader in readers { try await reader.expectWhole(room, until: "end") }
            let order = readers[0].messages(room)
            #expect(readers.allSatisfy { $0.messages(room) == order } && order.count == 81 && order.last?.position == end.position)
            let positions = Dictionary(order.map { ($0.key, $0.position) }) { first, _ in first }
            #expect(acknowledged.allSatisfy { positions[$0.key] == $0.position })
            for writer in writers {
                let numbers = order.filter { $0.from == writer.user && $0.key != "end" }.compactMap { Int($0.text) }
                #expect(numbers == Array(0..<40))
            }
            #expect(try await mesh.root(of: room).node == other.node)
            let left = try await readers[0].roomPresence("the ghost left", room, after: mark, within: .seconds(12)) { !$0.left.isEmpty }
            #expect(left.left == [ghost.user])
            #expect(ContinuousClock.now - begun < .seconds(12))

            try await mesh.local.restart(root.node)
            let back = try await TestClient.connect(
                try await mesh.node("us-east", root.node == other.node ? 1 : 0), as: MeshUnderTest.unique("back"))
            try await back.subscribe(room)
            try await back.publishUntilTaken(room, "after", key: "after")
            for reader in readers { try await reader.expectWhole(room, until: "after") }
            for client in readers + writers + [back] { await client.close() }
        }

        /// One after the other, each until it is taken.
        private func publish(_ count: Int, as writer: TestClient, in room: String) async throws -> [RelayPublished] {
            var taken: [RelayPublished] = []
            for n in 0..<count { taken.append(try await writer.publishUntilTaken(room, "\(n)", key: "\(writer.user)-\(n)")) }
            return taken
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
