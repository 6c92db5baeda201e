import MeshCore
import NIOCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

@Suite(.timeLimit(.minutes(1))) struct HeliographClientTests {
    @Test(arguments: everyTransport) func saysHelloSubscribesPublishesAndReads(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) || subscribed(frame, peer) { return }
            if case .publish(let publish) = frame.frame {
                peer.send(.with { $0.message = .with { ($0.room, $0.text, $0.key) = (publish.room, publish.text, publish.key) } })
                published(frame, peer)
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        #expect(client.welcome.user == "alice")
        #expect(try await client.subscribe(room: "lobby").memberCount == 1)
        let answer = try await client.publish(room: "lobby", text: "grüße", key: "k1")
        #expect(answer.key == "k1")
        let pushes = try await collect(client) { if case .message = $0 { true } else { false } }
        guard case .message(let message)? = pushes.last else { return #expect(Bool(false), "no message") }
        #expect(message.text == "grüße")
        await client.close()
        await relay.stop()
    }

    @Test func repliesAreMatchedByIdAndErrorsAreTyped() async throws {
        let held = Seen<(RelayClientFrame, FakeRelay.Peer)>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            if case .members = frame.frame {
                peer.reply(frame.id) { $0.error = .with { ($0.code, $0.message) = (.permissionDenied, "no") } }
            }
            if case .publish = frame.frame {
                held.add((frame, peer))
                if held.all.count == 3 { for (frame, peer) in held.all.reversed() { published(frame, peer) } }
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        async let a = client.publish(room: "r", text: "1", key: "a")
        async let b = client.publish(room: "r", text: "2", key: "b")
        async let c = client.publish(room: "r", text: "3", key: "c")
        #expect(try await [a.key, b.key, c.key] == ["a", "b", "c"])
        await #expect {
            _ = try await client.members(room: "secret")
        } throws: { error in
            if case HeliographClientError.refused(let refusal) = error { refusal.code == .permissionDenied } else { false }
        }
        await client.close()
        await #expect(throws: HeliographClientError.self) { try await client.ping() }
        await relay.stop()
    }

    @Test(arguments: everyTransport) func comesBackSubscribesAgainAndRepeatsADurablePublishWithItsKey(transport: ClientTransport)
        async throws
    {
        let keys = Seen<String>()
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) || subscribed(frame, peer) { return }
            guard case .publish(let publish) = frame.frame else { return }
            keys.add(publish.key)
            if peer.number == 1 { peer.drop() } else { published(frame, peer) }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        _ = try await client.subscribe(room: "lobby")
        let answer = try await client.publish(room: "lobby", text: "once")
        #expect(keys.all == [answer.key, answer.key])
        let pushes = try await collect(client) { if case .subscribed = $0 { true } else { false } }
        let kinds = pushes.map { push in
            switch push {
            case .disconnected: "disconnected"
            case .reconnected(let welcome): welcome.session
            case .subscribed(let subscribed): subscribed.room
            default: "other"
            }
        }
        #expect(kinds.first == "disconnected")
        #expect(Set(kinds.dropFirst()).isSubset(of: ["s2", "lobby"]))
        await client.close()
        await relay.stop()
    }

    @Test func anEphemeralPublishWhoseConnectionIsLostFails() async throws {
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            peer.drop()
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        await #expect {
            _ = try await client.publish(room: "r", text: "gone", durability: .ephemeral)
        } throws: { error in
            if case HeliographClientError.connectionLost = error { true } else { false }
        }
        await client.close()
        await relay.stop()
    }

    @Test func aRetryableErrorIsTriedAgainWithTheSameKey() async throws {
        let keys = Seen<String>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            keys.add(frame.publish.key)
            if keys.all.count > 1 { return published(frame, peer) }
            peer.reply(frame.id) { $0.error = .with { ($0.code, $0.retryAfterMs) = (.unavailable, 1) } }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        let answer = try await client.publish(room: "r", text: "x")
        #expect(keys.all == [answer.key, answer.key])
        await client.close()
        await relay.stop()
    }

    @Test(arguments: everyTransport) func aDrainingRelaysEdgeIsWhereItGoes(transport: ClientTransport) async throws {
        let second = try await FakeRelay.start(transport) { frame, peer in _ = welcome(frame, peer) || subscribed(frame, peer) }
        let edge = second.url
        let first = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) { return }
            _ = subscribed(frame, peer)
            peer.goodbye(4000, afterMs: 5, edges: ["nonsense", edge])
        }
        let client = try await HeliographClient.connect(url: first.url, token: "alice", options: quickOptions(transport))
        _ = try await client.subscribe(room: "lobby")
        await first.stop()
        let pushes = try await collect(client) { if case .subscribed = $0 { true } else { false } }
        guard case .disconnected(.goodbye(4000, _, _, _), let wait)? = pushes.first else { return #expect(Bool(false), "\(pushes)") }
        #expect(wait >= .milliseconds(5))
        await client.close()
        await second.stop()
    }

    @Test(arguments: everyTransport) func aFinalGoodbyeEndsThePushes(transport: ClientTransport) async throws {
        let hellos = Counter()
        let relay = try await FakeRelay.start(transport) { frame, peer in
            _ = hellos.next()
            _ = welcome(frame, peer)
            peer.goodbye(4504)
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        await #expect {
            for try await _ in client.pushes {}
        } throws: { error in
            if case HeliographClientError.disconnected(.goodbye(4504, _, _, _)) = error { true } else { false }
        }
        #expect(hellos.current == 1)
        await relay.stop()
    }

    @Test(arguments: everyTransport) func aRefusedHelloIsThrown(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            peer.reply(frame.id) { $0.error = .with { $0.code = .unauthenticated } }
            peer.goodbye(4501)
        }
        await #expect {
            _ = try await HeliographClient.connect(url: relay.url, token: "nobody", options: quickOptions(transport))
        } throws: { error in
            if case HeliographClientError.refused(let refusal) = error { refusal.code == .unauthenticated } else { false }
        }
        await relay.stop()
    }

    @Test func aRefusedUpgradeAndADeadPortAreTyped() async throws {
        let relay = try await FakeRelay.start(FakeRelay.Manner(accepts: false)) { _, _ in }
        await #expect {
            _ = try await HeliographClient.connect(url: relay.url, token: "x", options: quickOptions)
        } throws: { error in
            if case HeliographClientError.handshakeRefused(503) = error { true } else { false }
        }
        await relay.stop()
        await #expect {
            _ = try await HeliographClient.connect(url: relay.url, token: "x", options: quickOptions)
        } throws: { error in
            if case HeliographClientError.connectFailed = error { true } else { false }
        }
    }

    @Test(arguments: everyTransport) func anApplicationThatDoesNotReadIsToldSo(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) { return }
            for _ in 0..<5 { peer.send(.with { $0.message = .with { $0.text = "x" } }) }
            published(frame, peer)
        }
        var options = quickOptions(transport)
        options.pushesMax = 4
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options)
        await #expect(throws: HeliographClientError.self) { try await client.publish(room: "r", text: "go") }
        var count = 0
        await #expect {
            for try await _ in client.pushes { count += 1 }
        } throws: { error in
            if case HeliographClientError.pushesOverflowed(limit: 4) = error { true } else { false }
        }
        #expect(count == 4)
        await relay.stop()
    }

    @Test func deadlinesAndCancellation() async throws {
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in _ = welcome(frame, peer) }
        var options = quickOptions
        options.requestTimeout = .milliseconds(50)
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options)
        await #expect {
            _ = try await client.ping()
        } throws: { error in
            if case HeliographClientError.deadlineExceeded = error { true } else { false }
        }
        let asking = Task { try await client.members(room: "r") }
        asking.cancel()
        await #expect(throws: CancellationError.self) { try await asking.value }
        await client.close()
        await relay.stop()
    }

    @Test(arguments: everyTransport) func aSilentRelayIsLeft(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            _ = welcome(frame, peer, heartbeatSeconds: peer.number == 1 ? 1 : 25)
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        let pushes = try await collect(client) { if case .reconnected = $0 { true } else { false } }
        guard case .disconnected(.transport("heartbeat missed"), _)? = pushes.first else { return #expect(Bool(false), "\(pushes)") }
        await client.close()
        await relay.stop()
    }

    @Test func aRelayThatBreaksTheProtocolIsLeft() async throws {
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer), peer.number == 1 { peer.sendBytes(ByteBuffer(bytes: [0xC1, 0])) }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        let pushes = try await collect(client) { if case .reconnected = $0 { true } else { false } }
        guard case .disconnected(.transport(let reason), _)? = pushes.first else { return #expect(Bool(false), "\(pushes)") }
        #expect(reason.contains("reserved bits"))
        await client.close()
        await relay.stop()
    }
}
