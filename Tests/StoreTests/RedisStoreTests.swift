import Logging
import MeshCore
import NIOCore
import NIOPosix
import Testing

@testable import Store

private let room = "eu/lobby"

/// A Redis that is killed, stopped, wiped, flushed or full; and what people see in redis-cli.
@Suite(.serialized) struct RedisStoreTests {
    /// Runs a test with a server and a connection that is up.
    private func withRedis(
        _ server: RedisServer, limits: StoreLimits = .init(),
        _ body: (MultiThreadedEventLoopGroup, LoopStore) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let store = try await group.connectToRedis(server.address, limits: limits)
        try store.whenUp()
        do {
            try await body(group, store)
        } catch {
            try await store.close()
            try await group.shutdownGracefully()
            throw error
        }
        try await store.close()
        try await group.shutdownGracefully()
    }

    private func expectUnavailable(_ error: StoreError?, sourceLocation: SourceLocation = #_sourceLocation) {
        guard case .unavailable = error else {
            Issue.record("wanted unavailable, got \(String(describing: error))", sourceLocation: sourceLocation)
            return
        }
    }

    private func waitUntilDown(_ store: LoopStore, times: Int = 1) throws {
        try waitUntil("the store went down") { store.states.all.count - store.states.ups >= times }
    }

    @Test func worksOverTCP() async throws {
        let server = try RedisServer(listener: .port(RedisServer.freePort()))
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            expect(try await store.call { $0.append(room, .of("a")) }, is: [.appended(at(1, 1))])
            let figures = try await store.look { $0.figures }
            #expect(figures.commands == 2)
            #expect(figures.failures == 0)
            #expect(figures.latency.count == 2)
        }
    }

    @Test func killedServerFailsCallsAndComesBack() async throws {
        let server = try RedisServer(persistent: true)
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            _ = try await store.call { $0.open(room, .first(incarnation: "one")) }
            _ = try await store.call { $0.append(room, .of("a")) }
            try server.pause()
            let underWay = Task { try await store.error { $0.append(room, .of("b")) } }
            try await waitUntilInFlight(store, commands: 4)
            server.stop()
            expectUnavailable(try await underWay.value)
            try waitUntilDown(store)
            expectUnavailable(try await store.error { $0.append(room, .of("b")) })
            try server.start()
            try store.whenUp(times: 2)
            let identity = try await store.call { $0.attach(freshID: "two", knownEpoch: 1) }
            #expect(identity == StoreIdentity(incarnation: "one", epoch: 2))
            _ = try await store.call { $0.open(room, .first(incarnation: "one", epoch: 2)) }
            // "b" may have been appended or not; it is there once either way.
            _ = try await store.call { $0.append(room, .of("b")) }
            expect(try await store.call { $0.read(room, after: nil, before: nil, limit: 9, newest: false) }.bodies, is: ["a", "b"])
            expect(try await store.look { $0.figures.reconnects }, is: 1)
        }
    }

    private func waitUntilInFlight(_ store: LoopStore, commands: UInt64) async throws {
        while try await store.look({ $0.figures.commands }) < commands { await Task.yield() }
    }

    @Test func serverThatForgotEverythingIsNew() async throws {
        let server = try RedisServer(persistent: false)
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            _ = try await store.call { $0.open(room, .first(incarnation: "one")) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            try server.restart()
            try store.whenUp(times: 2)
            expect(try await store.error { $0.append(room, .of("c")) }, is: .notOpen)
            expect(try await store.call { $0.attach(freshID: "two", knownEpoch: 1) }, is: StoreIdentity(incarnation: "two", epoch: 2))
        }
    }

    @Test func serverThatLostItsLastWritesHandsNoPositionOutAgain() async throws {
        let server = try RedisServer(persistent: false)
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.attach(freshID: "one", knownEpoch: 0) }
            _ = try await store.call { $0.open(room, .first(incarnation: "one")) }
            _ = try await store.call { $0.append(room, .of("kept")) }
            try server.run("SAVE")
            _ = try await store.call { $0.append(room, .of("lost")) }
            try server.restart()
            try store.whenUp(times: 2)
            expect(try await store.error { $0.append(room, .of("next")) }, is: .notOpen)
            let identity = try await store.call { $0.attach(freshID: "two", knownEpoch: 1) }
            #expect(identity == StoreIdentity(incarnation: "one", epoch: 2))
            let opened = try await store.call {
                $0.open(room, .first(incarnation: "one", epoch: identity.epoch, knownHead: at(1, 2)))
            }
            #expect(opened == OpenedLog(epoch: 2, head: at(1, 2), lastAt: 1000))
            expect(try await store.call { $0.append(room, .of("next")) }, is: [.appended(at(2, 3))])
            expect(
                try await store.call { $0.epochs(of: room) },
                is: [StoredEpoch(epoch: 1, first: 1, last: 1), StoredEpoch(epoch: 2, first: 3, last: nil)])
        }
    }

    private let impatient = StoreLimits(deadline: .milliseconds(500), heartbeat: .milliseconds(100))

    @Test func stoppedServerFailsCallsWithinTheDeadline() async throws {
        let server = try RedisServer()
        try await withRedis(server, limits: impatient) { _, store in
            try server.pause()
            let started = NIODeadline.now()
            expectUnavailable(try await store.error { $0.head(of: room) })
            let took = NIODeadline.now() - started
            #expect(took < .seconds(5))
            expectUnavailable(try await store.error { $0.head(of: room) })
            server.resume()
            try store.whenUp(times: 2)
            expect(try await store.call { $0.head(of: room) }, is: nil)
        }
    }

    @Test func stoppedServerIsNoticedWithoutTraffic() async throws {
        let server = try RedisServer()
        try await withRedis(server, limits: impatient) { _, store in
            try server.pause()
            try waitUntilDown(store)
            server.resume()
            try store.whenUp(times: 2)
        }
    }

    @Test func serverThatIsNotThereYetIsWaitedFor() async throws {
        let server = try RedisServer()
        server.stop()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let store = try await group.connectToRedis(server.address)
        expectUnavailable(try await store.error { $0.head(of: room) })
        #expect(store.states.all == [])
        try server.start()
        try store.whenUp()
        expect(try await store.call { $0.head(of: room) }, is: nil)
        #expect(store.states.all == [.up])
        try await store.close()
        try await group.shutdownGracefully()
    }

    @Test func flushedScriptsAreLoadedAgain() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            try server.run("SCRIPT", "FLUSH", "SYNC")
            expectUnavailable(try await store.error { $0.append(room, .of("a")) })
            try store.whenUp(times: 2)
            // The same run of the server: the fence stands, and nothing was appended.
            expect(try await store.call { $0.append(room, .of("a")) }, is: [.appended(at(1, 1))])
        }
    }

    @Test func fullServerAppendsNothingAndIsDegraded() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a")) }
            try server.run("CONFIG", "SET", "maxmemory", "1")
            expectUnavailable(try await store.error { $0.append(room, .of("b", "c")) })
            try waitUntilDown(store)
            #expect(try server.run("XLEN", "hg:log:{\(room)}:\(room)") == "1")
            try server.run("CONFIG", "SET", "maxmemory", "0")
            try store.whenUp(times: 2)
            expect(try await store.call { $0.append(room, .of("b", "c")) }, is: [.appended(at(1, 2)), .appended(at(1, 3))])
        }
    }

    @Test func replicaIsNotFitForWork() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            try server.run("REPLICAOF", "127.0.0.1", "1")
            expectUnavailable(try await store.error { $0.open(room, .first()) })
            try waitUntilDown(store)
            try server.run("REPLICAOF", "NO", "ONE")
            try store.whenUp(times: 2)
        }
    }

    @Test func serverWithoutItsReplicasIsNotFitForWork() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            try server.run("CONFIG", "SET", "min-replicas-to-write", "1")
            expectUnavailable(try await store.error { $0.append(room, .of("a")) })
            try waitUntilDown(store)
            let isUp = try await store.look { $0.state == .up }
            #expect(!isUp)
            try server.run("CONFIG", "SET", "min-replicas-to-write", "0")
            try store.whenUp(times: 2)
            expect(try await store.call { $0.append(room, .of("a")) }, is: [.appended(at(1, 1))])
        }
    }

    @Test func keyOfAnotherTypeIsNotAnOutage() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            try server.run("SET", "hg:meta:{\(room)}:\(room)", "x")
            guard case .unexpectedReply = try await store.error({ $0.open(room, .first()) }) else {
                Issue.record("wanted an unexpected reply")
                return
            }
            #expect(store.states.all == [.up])
        }
    }

    @Test func batchesOfConnectionsDoNotInterleave() async throws {
        let server = try RedisServer()
        try await withRedis(server) { group, store in
            _ = try await store.call { $0.open(room, .first()) }
            let other = try await group.connectToRedis(server.address)
            try other.whenUp()
            await withTaskGroup(of: Void.self) { tasks in
                for (name, store) in [("x", store), ("y", other)] {
                    for round in 0..<50 {
                        tasks.addTask {
                            let outcomes = try? await store.call {
                                $0.append(room, .of("\(name)\(round)a", "\(name)\(round)b", "\(name)\(round)c"))
                            }
                            guard case .appended(let first)? = outcomes?.first else {
                                Issue.record("not appended")
                                return
                            }
                            #expect(outcomes == (0..<3).map { .appended(at(1, first.seq + UInt64($0))) })
                        }
                    }
                }
            }
            try await other.close()
        }
    }

    @Test func queueIsBounded() async throws {
        let server = try RedisServer()
        let limits = StoreLimits(commandsInFlightMax: 10)
        try await withRedis(server, limits: limits) { _, store in
            let results = try await store.call { store in
                EventLoopFuture.whenAllComplete((0..<25).map { _ in store.head(of: room) }, on: store.head(of: room).eventLoop)
            }
            let failures = results.count { if case .failure(StoreError.unavailable) = $0 { true } else { false } }
            #expect(failures == 15)
            expect(try await store.look { $0.figures.refusedByBounds }, is: 16)
            expect(try await store.call { $0.head(of: room) }, is: nil)
        }
    }

    @Test func tooLargeAReplyEndsTheConnection() async throws {
        let server = try RedisServer()
        try await withRedis(server, limits: StoreLimits(replyBytesMax: 100_000)) { _, store in
            let members = (0..<2000).map { session in
                StoredMember(
                    key: MemberKey(owner: NodeBoot(node: NodeID(region: RegionID("r"), name: "n"), boot: 1), session: session),
                    user: "user",
                    device: "device", status: .online, note: "")
            }
            try await store.call { $0.replaceMembers(of: room, with: members) }
            expectUnavailable(try await store.error { $0.members(of: room) })
            try store.whenUp(times: 2)
        }
    }

    @Test func idleRoomsForgetTheirKeys() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a", retention: Retention(dedupWindow: .milliseconds(100)))) }
            for kind in ["keys", "expiry"] {
                try waitUntil("\(kind) are gone") { try server.run("EXISTS", "hg:\(kind):{\(room)}:\(room)") == "0" }
            }
            expect(try await store.call { $0.head(of: room) }, is: at(1, 1))
        }
    }

    @Test func typingKeysGoWithTheirLastEntry() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            try await store.call { $0.mirrorTyping(in: room, user: "alice", expiresAt: WallClock.now() + 4000) }
            let left = Int(try server.run("PTTL", "hg:typing:{\(room)}:\(room)")) ?? 0
            #expect((4000...5001).contains(left))
        }
    }

    /// Its entries have no time, and nobody has counted their bytes.
    @Test func logOfAnOlderVersionGoesOn() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            for n in 1...3 { try server.run("XADD", "hg:log:{eu/lobby}:eu/lobby", "1-\(n)", "body", "old\(n)") }
            try server.run("HSET", "hg:meta:{eu/lobby}:eu/lobby", "seq", "3", "head", "1-3", "at", "1000")
            let (now, kept) = (WallClock.now(), Retention(ageMax: .seconds(60), bytesMax: 3))
            _ = try await store.call { $0.append(room, .of("new", at: now, retention: kept)) }
            func bodies() async throws -> [String] {
                try await store.call { $0.read(room, after: nil, before: nil, limit: 9, newest: false) }.bodies
            }
            expect(try await bodies(), is: ["old1", "old2", "old3", "new"])
            expect(try await store.call { $0.trim(room, Retention(messagesMax: 2), most: 9) }, is: true)
            expect(try await bodies(), is: ["old3", "new"])
            #expect(try server.run("HGET", "hg:meta:{eu/lobby}:eu/lobby", "bytes") == "3")
            _ = try await store.call { $0.append(room, .of("x", at: now, retention: Retention(messagesMax: 2, ageMax: .seconds(60)))) }
            expect(try await bodies(), is: ["new", "x"])
            #expect(try server.run("HMGET", "hg:meta:{eu/lobby}:eu/lobby", "bytes", "oldest") == "4\n\(now)")
        }
    }

    @Test func peopleCanReadWhatIsStored() async throws {
        let server = try RedisServer()
        try await withRedis(server) { _, store in
            let node = NodeID(region: RegionID("eu-west"), name: "eu-west-0")
            let member = StoredMember(
                key: MemberKey(owner: NodeBoot(node: node, boot: 7), session: 42), user: "alice", device: "phone", status: .away, note: "é")
            _ = try await store.call { $0.changeRoster(expected: 0, to: StoredRoster(version: 1, nodes: [node])) }
            try await store.call { $0.renewLease(of: member.key.owner, ttl: .seconds(5)) }
            _ = try await store.call { $0.open(room, .first(epoch: 3)) }
            _ = try await store.call { $0.append(room, .of("hello")) }
            try await store.call { $0.mirrorMembers(of: room, removed: [], upserted: [member]) }
            try await store.call { $0.setLastSeen(of: "a{b}c", at: 1234) }
            #expect(try server.run("HGET", "hg:roster", "nodes") == #"["eu-west/eu-west-0"]"#)
            #expect(try server.run("GET", "hg:lease:eu-west/eu-west-0") == "7")
            #expect(try server.run("XRANGE", "hg:log:{eu/lobby}:eu/lobby", "-", "+") == "3-1\nat\n1000\nbody\nhello")
            #expect(try server.run("HGET", "hg:epochs:{eu/lobby}:eu/lobby", "3") == "1-")
            #expect(
                try server.run("HMGET", "hg:meta:{eu/lobby}:eu/lobby", "fence", "head", "at", "bytes", "oldest")
                    == "1.1\n3-1\n1000\n5\n1000")
            #expect(try server.run("GET", "hg:seen:{b}:@a{b}c") == "1234")
            #expect(
                try server.run("HGET", "hg:members:{eu/lobby}:eu/lobby", "eu-west/eu-west-0#7/42")
                    == #"{"device":"phone","note":"é","status":"away","user":"alice"}"#)
        }
    }
}
