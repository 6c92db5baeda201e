import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

extension FaultyMesh {
    /// P10: a region without its Redis.
    @Suite(.serialized) struct StoreOutageTests {
        let mesh: MeshUnderTest
        let region: RegionID
        let room: String
        let reader: TestClient
        let writer: TestClient

        init() async throws {
            mesh = try .current
            try await mesh.heal()
            region = RegionID("ap-south")
            room = MeshUnderTest.unique("ap-south/store")
            reader = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("reader"))
            writer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("writer"))
            try await reader.subscribe(room, presence: true, typing: true)
            try await writer.subscribe(room)
            let joined = writer.user
            _ = try await reader.roomPresence("the writer joined", room, after: 0) { $0.joined.contains { $0.user == joined } }
            for n in 0..<3 { try await writer.publishUntilTaken(room, "\(n)", key: "k\(n)") }
        }

        private func end() async {
            await reader.close()
            await writer.close()
        }

        private func expectUnavailable() async throws {
            let begun = ContinuousClock.now
            let error = try await writer.error(of: .publish(.text(room, "3", key: "k3")))
            #expect(error.code == .unavailable && error.retryAfterMs > 0)
            #expect(ContinuousClock.now - begun < .seconds(12))
        }

        @Test("publishes are refused, presence and typing go on, and all recovers by itself") func stopped() async throws {
            let node = try await mesh.node("ap-south")
            try await mesh.local.stopRedis(region)
            try await expectUnavailable()

            var mark = reader.mark
            try await writer.setTyping(room, true)
            try await reader.typing(of: writer.user, in: room, active: true, after: mark)
            try await writer.setTyping(room, false)
            try await reader.typing(of: writer.user, in: room, active: false, after: mark)
            try await writer.setPresence(.busy, note: "waiting")
            _ = try await reader.roomPresence("busy", room, after: mark) { $0.updated.contains { $0.status == .busy } }
            mark = reader.mark
            let guest = try await TestClient.connect(node, as: MeshUnderTest.unique("guest"))
            try await guest.subscribe(room)
            _ = try await reader.roomPresence("joined", room, after: mark) { $0.joined.map(\.user) == [guest.user] }
            await guest.close()
            _ = try await reader.roomPresence("left", room, after: mark) { $0.left == [guest.user] }
            #expect(try await writer.publish(room, "e", key: "e", durability: .ephemeral).hasPosition == false)

            // It was ready before: it stays so, and says what is wrong.
            let degraded = try await readiness(node)
            #expect(degraded.ready && degraded["redis"]?.ok == false && degraded["mesh"]?.ok == true)

            try await mesh.local.startRedis(region)
            for n in 3..<6 { try await writer.publishUntilTaken(room, "\(n)", key: "k\(n)") }
            let seen = try await reader.messages(room, until: "k5").filter(\.hasPosition)
            #expect(seen.map(\.key) == (0..<6).map { "k\($0)" } && seen.map(\.position.seq) == [1, 2, 3, 4, 5, 6])
            try await eventually("the store is up again") { try await readiness(node)["redis"]?.ok == true }
            #expect(try await writer.publish(room, "again", key: "k1").duplicate)
            await end()
        }

        @Test("a killed store that comes back whole opens a new epoch and goes on") func killed() async throws {
            let before = try await writer.publish(room, "before", key: "before").position
            try await mesh.local.stopRedis(region, signal: SIGKILL)
            try await mesh.local.startRedis(region)
            let after = try await writer.publishUntilTaken(room, "after", key: "after").position
            #expect(after.epoch >= before.epoch && after.seq == before.seq + 1)
            try await reader.expectWhole(room, until: "after", keys: ["k0", "k1", "k2", "before", "after"])
            await end()
        }

        @Test("a flood into a store that dies stands in the log once, in sending order") func flooded() async throws {
            let redis = try #require(try await mesh.region("ap-south").redis)
            let keys = (0..<1_000).map { "flood-\($0)" }
            var ids = try writer.post(keys.prefix(400).map { .publish(.text(room, $0, key: $0)) })
            try await writer.ping()
            kill(redis.pid, SIGSTOP)
            // More than two batches: the second is on its way to the store when the first gets no answer.
            ids += try writer.post(keys.dropFirst(400).map { .publish(.text(room, $0, key: $0)) })
            try await writer.ping()
            try await mesh.local.stopRedis(region, signal: SIGKILL)
            try await mesh.local.startRedis(region)

            // What came while the store was known to be away was refused at once.
            let answers = try await eventually("all have an answer", within: .seconds(40)) {
                let answers = Dictionary(writer.recorder.record.frames.map { ($0.id, $0.frame) }) { first, _ in first }
                return ids.allSatisfy { answers[$0] != nil } ? answers : nil
            }
            var atOnce: [String] = []
            for (key, id) in zip(keys, ids) {
                switch answers[id] {
                case .published: atOnce.append(key)
                case .error(let error) where error.code == .unavailable: try await writer.publishUntilTaken(room, key, key: key)
                case let answer: Issue.record("\(key): \(String(describing: answer))")
                }
            }
            let wanted = Set(keys)
            let seen = try await eventually("all of it is seen") {
                let seen = reader.messages(room).map(\.key).filter(wanted.contains)
                return seen.count >= keys.count ? seen : nil
            }
            #expect(seen.count == keys.count && Set(seen) == wanted)
            #expect(seen.filter(Set(atOnce).contains) == atOnce)
            await end()
        }

        @Test("a wiped store opens a higher epoch, never a position twice") func wiped() async throws {
            let before = try await writer.publish(room, "before", key: "before").position
            try await mesh.local.stopRedis(region)
            try await expectUnavailable()
            try await mesh.local.startRedis(region, wiped: true)
            let after = try await writer.publishUntilTaken(room, "after", key: "after").position
            #expect(after.epoch > before.epoch)
            let seen = try await reader.messages(room, until: "after")
            let positions = seen.map { Position(epoch: $0.position.epoch, seq: $0.position.seq) }
            #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 }, "\(positions)")
            #expect(seen.filter { $0.key == "after" }.count == 1)
            try await eventually("presence is announced again") {
                let redis = try #require(try await mesh.region("ap-south").redis)
                let members = try await Program.redis(redis.url, "HVALS", "hg:members:{\(room)}:\(room)")
                return members.contains(writer.user) && members.contains(reader.user)
            }
            await end()
        }

        @Test("a store that hangs is refused in bounded time too") func hung() async throws {
            let redis = try #require(try await mesh.region("ap-south").redis)
            kill(redis.pid, SIGSTOP)
            try await expectUnavailable()
            let mark = reader.mark
            try await writer.setTyping(room, true)
            try await reader.typing(of: writer.user, in: room, active: true, after: mark, within: .seconds(3))
            kill(redis.pid, SIGCONT)
            for n in 3..<6 { try await writer.publishUntilTaken(room, "\(n)", key: "k\(n)") }
            try await reader.expectWhole(room, until: "k5", keys: (0..<6).map { "k\($0)" })
            await end()
        }

        @Test("without its store at start a node waits and says why") func downAtStart() async throws {
            let node = try await mesh.node("ap-south")
            try await mesh.local.kill(node.node, SIGTERM)
            _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(12))
            try await mesh.local.stopRedis(region)
            let relay = try RunningProgram(
                Program.heliograph, ["serve", "--config", mesh.configuration(of: "ap-south"), "--node", node.node.name])
            let waiting: Readyz = try await eventually("the operations listener answers") {
                try await HTTP.json("\(node.operationsURL)/readyz", status: 503)
            }
            #expect(!waiting.ready && waiting["redis"]?.ok == false && waiting["redis"]?.detail.isEmpty == false)
            #expect(waiting["draining"]?.ok == true)
            #expect(try await HTTP.get("\(node.operationsURL)/healthz").status == 200)
            await #expect(throws: (any Error).self) { try await TestClient.dial(node) }
            #expect(relay.isRunning)

            try await mesh.local.startRedis(region)
            try await eventually("it is ready") { try await HTTP.get("\(node.operationsURL)/readyz").status == 200 }
            let client = try await TestClient.connect(node, as: MeshUnderTest.unique("guest"))
            try await client.publishUntilTaken(room, "3", key: "k3")
            try await reader.expectWhole(room, until: "k3", keys: ["k0", "k1", "k2", "k3"])
            await client.close()
            relay.signal(SIGTERM)
            #expect(try await relay.end().code == 0)
            try await mesh.local.restart(node.node)
            await end()
        }

        private func readiness(_ node: LocalMesh.Node) async throws -> Readyz {
            try JSONDecoder().decode(Readyz.self, from: Data(try await HTTP.get("\(node.operationsURL)/readyz").body.utf8))
        }
    }
}
