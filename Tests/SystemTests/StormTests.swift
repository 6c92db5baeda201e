import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Synchronization
import Testing
import Wire

/// Many clients that come at once, to relays that take few.
@Suite(
    "Reconnect storms", .serialized,
    .mesh(
        nodes: 2, cells: 1,
        yaml: """
            limits:
              hellosPerSecondMax: 40
            timings:
              helloTimeout: 30s
            """), .timeLimit(.minutes(5))) enum Storms
{}

/// What a storm of clients went through.
private final class Weather: Sendable {
    struct Refusal: Sendable {
        var retryAfterMs: UInt32
        var goodbye: RelayGoodbye
        var closeCode: UInt16?
    }

    private let state = Mutex((refusals: [Refusal](), attemptsMost: 0))
    var refusals: [Refusal] { state.withLock { $0.refusals } }
    var attemptsMost: Int { state.withLock { $0.attemptsMost } }

    func note(_ refusal: Refusal) { state.withLock { $0.refusals.append(refusal) } }
    func note(attempts: Int) { state.withLock { $0.attemptsMost = max($0.attemptsMost, attempts) } }
}

extension Storms {
    @Suite(.serialized) struct ReturnTests {
        static let sessions = 1_000
        let mesh: MeshUnderTest

        init() async throws {
            mesh = try .current
            try await mesh.heal()
        }

        /// Says hello, and when it is turned away comes back when it was told to.
        private func arrive(_ opened: TestClient, at node: LocalMesh.Node, _ weather: Weather) async throws -> TestClient {
            let user = opened.user
            for attempt in 1...20 {
                weather.note(attempts: attempt)
                let client = attempt == 1 ? opened : try await TestClient.open(node, user: user)
                let token = try await mesh.token(user)
                let hello = RelayHello.with { ($0.token, $0.device, $0.heartbeatSeconds) = (token, user, 60) }
                let reply = try await client.ask(.hello(hello), within: .seconds(30))
                if case .welcome = reply { return client }
                guard case .error(let error) = reply, error.code == .unavailable else { throw SystemTestError("\(user): \(reply)") }
                let goodbye = try await client.wait("goodbye") { frames in
                    frames.compactMap { if case .goodbye(let goodbye) = $0.frame { goodbye } else { nil } }.first
                }
                weather.note(.init(retryAfterMs: error.retryAfterMs, goodbye: goodbye, closeCode: await client.closeCode()))
                try await waitAsTold(milliseconds: goodbye.afterMs)
            }
            throw SystemTestError("\(user) was turned away twenty times")
        }

        /// The doors take their time: the storm is that of the hellos.
        private func arriveAll(_ users: [String], at nodes: [LocalMesh.Node], _ weather: Weather) async throws -> [TestClient] {
            let opened = try await withThrowingTaskGroup(of: (TestClient, LocalMesh.Node).self) { group in
                for (index, user) in users.enumerated() {
                    let node = nodes[index % nodes.count]
                    group.addTask { (try await TestClient.open(node, user: user), node) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            return try await withThrowingTaskGroup(of: TestClient.self) { group in
                for (client, node) in opened { group.addTask { try await arrive(client, at: node, weather) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }

        /// Commands that all stores have served.
        private func storeCommands() async throws -> Int {
            var sum = 0
            for region in await mesh.local.regions {
                let info = try await Program.redis(try #require(region.redis?.url), "INFO", "stats")
                let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("total_commands_processed:") }
                sum += line.flatMap { Int($0.drop { $0 != ":" }.dropFirst()) } ?? 0
            }
            return sum
        }

        @Test("the sessions of a node that is killed come back to the others, at a pace, and none is lost") func returns() async throws {
            let room = MeshUnderTest.unique("us-east/storm")
            let users = (0..<Self.sessions).map { MeshUnderTest.unique("stormy-\($0)") }
            let dying = try await mesh.node("eu-west", 1)
            let others = await mesh.nodes.filter { $0.node != dying.node }
            // They come here by the same door, so slowly too.
            let before = try await arriveAll(users, at: [dying], Weather())
            for client in before.prefix(100) { try await client.subscribe(room) }

            let commands = try await storeCommands()
            let drops = try await turnedAway(others)
            try await mesh.local.kill(dying.node, SIGKILL)
            let weather = Weather()
            let after = try await arriveAll(users, at: others, weather)
            #expect(after.count == users.count)
            try check(weather)
            #expect(try await turnedAway(others) == drops + Double(weather.refusals.count))
            try await checkPresence(after, room)
            // Half of it is what the dead node's sessions leave behind: members that go, and when they were last seen.
            let each = Double(try await storeCommands() - commands) / Double(users.count)
            #expect(each <= 12, "\(each) commands for each session")
            for client in after { await client.drop() }
            try await mesh.local.restart(dying.node)
        }

        private func turnedAway(_ nodes: [LocalMesh.Node]) async throws -> Double {
            var sum = 0.0
            for node in nodes { sum += try await Metrics.scrape(node.operationsURL).drops("admission_refused") }
            return sum
        }

        private func check(_ weather: Weather) throws {
            let refusals = weather.refusals
            #expect(refusals.count > Self.sessions / 20, "a storm that nobody was turned away in shows nothing")
            #expect(
                refusals.allSatisfy {
                    $0.goodbye.code == 4003 && $0.goodbye.reconnect && $0.goodbye.afterMs == $0.retryAfterMs && $0.closeCode == 4003
                })
            #expect(refusals.allSatisfy { (1...30_000).contains($0.retryAfterMs) })
            let slots = Dictionary(grouping: refusals) { $0.retryAfterMs / 100 }.mapValues(\.count)
            #expect(slots.values.allSatisfy { $0 < refusals.count / 4 }, "slots are spread: \(slots)")
            #expect(weather.attemptsMost <= 4, "who comes at the slot is served, or is soon")
        }

        private func checkPresence(_ clients: [TestClient], _ room: String) async throws {
            for client in clients.prefix(100) { try await client.subscribe(room) }
            try await eventually("all are in the room, and no ghosts", within: .seconds(20)) {
                try await clients[0].members(room).count == 100
            }
            let watcher = clients[0]
            let seen = try await watcher.watch(clients.prefix(500).map(\.user))
            #expect(seen.allSatisfy { $0.status == .online && $0.devices == 1 })
        }

        @Test("whoever resumes is answered before whoever is new") func resumesFirst() async throws {
            let node = try await mesh.node("ap-south")
            let (burst, joins, resumes) = (0..<20, 20..<60, 60..<100)
            var tokens: [String] = []
            for n in 0..<resumes.upperBound { tokens.append(try await mesh.token(MeshUnderTest.unique("comer-\(n)"))) }
            let clients = try await withThrowingTaskGroup(of: (Int, TestClient).self) { group in
                for n in tokens.indices { group.addTask { (n, try await TestClient.open(node)) } }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            // The first ones spend the burst; those that resume come last.
            for n in burst.lowerBound..<resumes.upperBound {
                let hello = RelayHello.with {
                    $0.token = tokens[n]
                    if resumes.contains(n) { $0.session = "of-another-node-\(n)" }
                }
                try clients[n]?.post(.hello(hello))
            }
            let joined = try await answers(joins.compactMap { clients[$0] })
            let resumed = try await answers(resumes.compactMap { clients[$0] })
            #expect(resumed.count == resumes.count, "nobody who resumes was turned away")
            let last = try #require(resumed.max())
            #expect(joined.filter { $0 < last }.count < joins.count / 2, "new ones wait until all who resume are served")
            for client in clients.values { await client.drop() }
        }

        /// When each was answered; those who were turned away are left out.
        private func answers(_ clients: [TestClient]) async throws -> [ContinuousClock.Instant] {
            var times: [ContinuousClock.Instant] = []
            for client in clients {
                await client.recorder.wait(within: .seconds(10)) { !$0.frames.isEmpty }
                let record = client.recorder.record
                if case .error(let error)? = record.frames.first?.frame, error.code == .unavailable { continue }
                times.append(try #require(record.times.first))
            }
            return times
        }
    }
}
