import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension RelayFrom {
    static func position(_ position: RelayPosition) -> RelayFrom { .with { $0.position = position } }
    static func last(_ count: UInt32) -> RelayFrom { .with { $0.last = count } }
}

extension RelayResume {
    static func room(_ room: String, _ position: RelayPosition) -> RelayResume { .with { ($0.room, $0.position) = (room, position) } }
}

extension TestClient {
    /// What the relay said to the hello.
    var welcome: RelayWelcome {
        get async throws {
            try await wait("welcome") { frames in frames.lazy.compactMap { frame in frame.hasID ? frame.welcome : nil }.first }
        }
    }

    /// Publishes texts with these keys, many at once, and returns their positions.
    func publishAll(_ room: String, _ keys: [String], text: String = "text") async throws -> [RelayPosition] {
        var positions: [RelayPosition] = []
        for start in stride(from: 0, to: keys.count, by: 200) {
            let ids = try keys[start..<min(keys.count, start + 200)].map { try post(.publish(.text(room, text, key: $0))) }
            for id in ids {
                guard case .published(let published) = try await reply(id) else { throw SystemTestError("\(user) could not publish") }
                positions.append(published.position)
            }
        }
        return positions
    }
}

extension QuietMesh {
    /// P2, P6: sessions that come back, or late, get exactly what they missed.
    @Suite struct ReplayTests {
        let mesh: MeshUnderTest
        let room: String

        init() throws {
            mesh = try .current
            room = MeshUnderTest.unique("us-east/replay")
        }

        private func makeWriter() async throws -> TestClient {
            try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("writer"))
        }

        private func makeReader(_ encoding: FrameEncoding = .json) async throws -> TestClient {
            try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("reader"), encoding: encoding)
        }

        private func keys(_ range: Range<Int>) -> [String] { range.map { "k\($0)" } }

        @Test("from a position: pages without a cap, then live", arguments: FrameEncoding.webSocket)
        func position(encoding: FrameEncoding) async throws {
            let writer = try await makeWriter()
            let positions = try await writer.publishAll(room, keys(0..<1_300))
            let reader = try await makeReader(encoding)
            let subscribed = try await reader.subscribe(room, from: .position(positions[9]))
            #expect(subscribed.recovered && subscribed.replayed == 1_290 && subscribed.head == positions[1_299])
            try await writer.publish(room, "live", key: "live")
            try await reader.expectWhole(room, until: "live", keys: keys(10..<1_300) + ["live"])
            for client in [writer, reader] { await client.close() }
        }

        @Test("the last ones, as many as are wanted or as there are") func last() async throws {
            let writer = try await makeWriter()
            _ = try await writer.publishAll(room, keys(0..<700))
            var readers: [(TestClient, Int)] = []
            for (count, first) in [(3, 697), (0, 700), (600, 100), (5_000, 0)] {
                let reader = try await makeReader()
                let subscribed = try await reader.subscribe(room, from: .last(UInt32(count)))
                #expect(subscribed.recovered && Int(subscribed.replayed) == 700 - first, "last \(count)")
                readers.append((reader, first))
            }
            try await writer.publish(room, "live", key: "live")
            for (reader, first) in readers {
                try await reader.expectWhole(room, until: "live", keys: keys(first..<700) + ["live"])
                await reader.close()
            }
            await writer.close()
        }

        @Test("0/0 begins with the oldest kept; the head itself with nothing") func ends() async throws {
            let writer = try await makeWriter()
            let positions = try await writer.publishAll(room, keys(0..<5))
            let oldest = try await makeReader()
            let all = try await oldest.subscribe(room, from: .position(.with { ($0.epoch, $0.seq) = (0, 0) }))
            #expect(all.recovered && all.replayed == 5)
            let newest = try await makeReader()
            let none = try await newest.subscribe(room, from: .position(positions[4]))
            #expect(none.recovered && none.replayed == 0 && none.head == positions[4])
            try await writer.publish(room, "live", key: "live")
            try await oldest.expectWhole(room, until: "live", keys: keys(0..<5) + ["live"])
            try await newest.expectWhole(room, until: "live", keys: ["live"])
            let empty = try await newest.subscribe(MeshUnderTest.unique("us-east/empty"), from: .last(10))
            #expect(empty.recovered && empty.replayed == 0)
            for client in [writer, oldest, newest] { await client.close() }
        }

        @Test("a position that never was: not recovered, and an exact gap") func unknown() async throws {
            let writer = try await makeWriter()
            let positions = try await writer.publishAll(room, keys(0..<5))
            let head = positions[4]
            let beyond = RelayPosition.with { ($0.epoch, $0.seq) = (head.epoch, head.seq + 3) }
            let stranger = RelayPosition.with { ($0.epoch, $0.seq) = (head.epoch + 7, 2) }
            for (position, from) in [(beyond, head.seq + 1), (stranger, 2)] {
                let reader = try await makeReader()
                let mark = reader.mark
                let subscribed = try await reader.subscribe(room, from: .position(position))
                #expect(!subscribed.recovered && subscribed.replayed == 0)
                let gap = try await reader.wait("a gap", after: mark) { frames in frames.lazy.map(\.gap).first { $0.room == room } }
                #expect(gap.to == position && gap.from == .with { ($0.epoch, $0.seq) = (position.epoch, from) })
                try await writer.publish(room, "live", key: "live\(from)")
                let seen = try await reader.messages(room, until: "live\(from)")
                #expect(seen.map(\.key) == ["live\(from)"])
                await reader.close()
            }
            await writer.close()
        }

        @Test("P6: hello resumes rooms in another region; permissions are checked again") func resume() async throws {
            let writer = try await makeWriter()
            let other = MeshUnderTest.unique("eu-west/other")
            let denied = MeshUnderTest.unique("eu-west/denied")
            let user = MeshUnderTest.unique("mover")
            let first = try await TestClient.connect(mesh.node("eu-west"), as: user)
            for place in [room, other] { try await first.subscribe(place) }
            let seen = try await writer.publishAll(room, keys(0..<10))
            let seenOther = try await writer.publishAll(other, ["o0"])
            _ = try await first.messages(room, until: "k9")
            _ = try await first.messages(other, until: "o0")
            await first.drop()
            _ = try await writer.publishAll(room, keys(10..<400))

            let token = try await mesh.token(
                claims: TestClaims(
                    sub: user, exp: 4_000_000_000, rooms: [.init(match: room, can: ["subscribe"]), .init(match: other, can: ["subscribe"])])
            )
            let second = try await TestClient.connect(
                mesh.node("ap-south"), as: user, token: token,
                resume: [.room(room, seen[9]), .room(other, seenOther[0]), .room(denied, seen[0]), .room("bad name", seen[0])])
            let resumed = try await second.welcome.resumed
            #expect(resumed.map(\.room) == [room, other, denied, "bad name"])
            for (place, outcome) in zip([room, other], resumed) where outcome.pending {
                let subscribed = try await second.wait("\(place) is reached") { frames in
                    frames.lazy.map(\.subscribed).first { $0.room == place }
                }
                #expect(subscribed.recovered)
            }
            #expect(resumed.prefix(2).allSatisfy { $0.recovered != $0.pending })
            if resumed[0].recovered { #expect(resumed[0].head.seq == 400) }
            if resumed[1].recovered { #expect(resumed[1].head == seenOther[0]) }
            #expect(resumed[2].error.code == .permissionDenied && !resumed[2].recovered && !resumed[2].pending)
            #expect(resumed[3].error.code == .invalidArgument)
            try await writer.publish(room, "live", key: "live")
            try await second.expectWhole(room, until: "live", keys: keys(10..<400) + ["live"])
            try await writer.publish(other, "live", key: "o1")
            try await second.expectWhole(other, until: "o1", keys: ["o1"])
            for client in [writer, second] { await client.close() }
        }

        @Test("many come back at once while the room goes on: each gets all of it, once, in order") func crowd() async throws {
            let writer = try await makeWriter()
            let positions = try await writer.publishAll(room, keys(0..<50))
            let room = room
            let rest = keys(50..<450)
            async let published = writer.publishAll(room, rest)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<24 {
                    group.addTask {
                        let place = try await mesh.node(MeshUnderTest.regions[number % 3])
                        let encoding: FrameEncoding = number % 2 == 0 ? .json : .protobuf
                        let reader = try await TestClient.connect(
                            place, as: MeshUnderTest.unique("reader"), encoding: encoding, resume: [.room(room, positions[number])])
                        try await reader.expectWhole(room, until: "k449", keys: keys(number + 1..<450), within: .seconds(30))
                        await reader.close()
                    }
                }
                try await group.waitForAll()
            }
            _ = try await published
            await writer.close()
        }

        @Test("wrong starts are refused, and the session lives on") func wrong() async throws {
            let reader = try await makeReader()
            let nothing = RelaySubscribe.with {
                $0.room = room
                $0.from = RelayFrom()
            }
            #expect(try await reader.error(of: .subscribe(nothing)).code == .invalidArgument)
            try await reader.subscribe(room)
            await reader.close()
        }
    }
}

extension StrictMesh {
    /// P9: readers that do not keep up.
    @Suite struct SlowReaderTests {
        @Test("who reads too slowly is served from history: nothing lost, nothing twice") func slow() async throws {
            let mesh = try MeshUnderTest.current
            let node = try await mesh.node("eu-west")
            let room = MeshUnderTest.unique("us-east/slow")
            let behind = try await Metrics.scrape(node.operationsURL)["heliograph_slow_sessions_total"]
            let slow = try await TestClient.connect(node, as: MeshUnderTest.unique("slow"), receiveBytes: 4_096)
            let reader = try await TestClient.connect(node, as: MeshUnderTest.unique("reader"))
            let writer = try await TestClient.connect(try await mesh.node("us-east"), as: MeshUnderTest.unique("writer"))
            for client in [slow, reader] { try await client.subscribe(room, presence: true, typing: true) }
            let keys = (0..<600).map { "k\($0)" }
            let text = String(repeating: "x", count: 8_000)
            for start in stride(from: 0, to: keys.count, by: 60) {
                try await slow.stopReading()
                _ = try await writer.publishAll(room, Array(keys[start..<start + 60]), text: text)
                try await writer.publish(room, "nobody waits for it", key: "e\(start)", durability: .ephemeral)
                _ = try await reader.messages(room, until: keys[start + 59])
                try await slow.resumeReading()
            }
            for client in [reader, slow] {
                let durable = try await client.messages(room, until: keys[599], within: .seconds(30)).filter(\.hasPosition)
                #expect(durable.map(\.key) == keys, "\(client.user)")
            }
            #expect(try await Metrics.scrape(node.operationsURL)["heliograph_slow_sessions_total"] > behind)
            try await writer.publish(room, "and live again", key: "end")
            _ = try await slow.messages(room, until: "end")
            for client in [slow, reader, writer] { await client.close() }
        }

        @Test("presence that a slow reader was not told comes as its latest state") func folded() async throws {
            let mesh = try MeshUnderTest.current
            let node = try await mesh.node("eu-west")
            let room = MeshUnderTest.unique("eu-west/slow")
            let slow = try await TestClient.connect(node, as: MeshUnderTest.unique("slow"), receiveBytes: 4_096)
            let other = try await TestClient.connect(node, as: MeshUnderTest.unique("other"))
            let writer = try await TestClient.connect(node, as: MeshUnderTest.unique("writer"))
            try await slow.subscribe(room, presence: true)
            try await other.subscribe(room, presence: true)
            _ = try await slow.roomPresence("other", room, after: 0) { $0.joined.contains { $0.user == other.user } }
            try await slow.stopReading()
            let mark = slow.mark
            let text = String(repeating: "x", count: 16_000)
            _ = try await writer.publishAll(room, (0..<100).map { "k\($0)" }, text: text)
            for status in [RelayStatus.busy, .away, .busy, .away] {
                try await other.setPresence(status)
                _ = try await other.roomPresence("\(status)", room, after: 0) { presence in
                    presence.updated.contains { $0.user == other.user && $0.status == status }
                }
            }
            try await slow.resumeReading()
            let told = try await slow.roomPresence("away", room, after: mark, within: .seconds(20)) { presence in
                presence.updated.contains { $0.user == other.user && $0.status == .away }
            }
            #expect(told.updated.count == 1)
            try await slow.expectWhole(room, until: "k99", keys: (0..<100).map { "k\($0)" })
            for client in [slow, other, writer] { await client.close() }
        }
    }
}

extension StrictDoors {
    @Suite struct PublishRateTests {
        @Test("who publishes faster than she may is told when to come again, and nothing of the rest is lost") func rate() async throws {
            let mesh = try MeshUnderTest.current
            let node = try await mesh.node("eu-west")
            let room = MeshUnderTest.unique("eu-west/fast")
            let writer = try await TestClient.connect(node, as: MeshUnderTest.unique("fast"))
            let keys = (0..<900).map { "k\($0)" }
            let ids = try writer.post(keys.map { .publish(.text(room, "x", key: $0)) })
            var positions: Set<UInt64> = []
            var refused = 0
            for (id, key) in zip(ids, keys) {
                switch try await writer.reply(id) {
                case .published(let published): positions.insert(published.position.seq)
                case .error(let error):
                    #expect(error.code == .resourceExhausted && error.retryAfterMs > 0 && error.retryAfterMs < 1_000)
                    refused += 1
                    positions.insert(try await writer.publishUntilTaken(room, "x", key: key).position.seq)
                case let other: Issue.record("\(other)")
                }
            }
            #expect(refused > 100 && positions == Set(1...900))
            await writer.close()
        }
    }
}
