import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What a client says and hears when it comes back, by the contract.
@Suite(.timeLimit(.minutes(1))) struct ResumeTests {
    private func position(_ seq: UInt64) -> RelayPosition { RelayPosition(Position(epoch: 1, seq: seq)) }

    private func message(_ room: String, _ seq: UInt64) -> RelayServerFrame {
        .with { $0.message = .with { ($0.room, $0.position, $0.text) = (room, position(seq), "\(seq)") } }
    }

    /// Answers a hello, and what it resumes as told.
    private func welcome(
        _ frame: RelayClientFrame, _ peer: FakeRelay.Peer, _ hellos: Seen<RelayHello>, _ resume: @Sendable (RelayResume) -> RelayResumed?
    ) -> Bool {
        guard case .hello(let hello) = frame.frame else { return false }
        hellos.add(hello)
        peer.reply(frame.id) {
            $0.welcome = .with {
                ($0.user, $0.session, $0.device) = (hello.token, "s\(peer.number)", "given")
                ($0.heartbeatSeconds, $0.maxFrameBytes) = (25, 65_536)
                $0.resumed = hello.resume.compactMap(resume)
            }
        }
        return true
    }

    @Test(arguments: everyTransport) func takesTheSessionOverAndHearsWhatWasMissedOnce(transport: ClientTransport) async throws {
        let hellos = Seen<RelayHello>()
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer, hellos, { ask in .with { ($0.room, $0.recovered, $0.head) = (ask.room, true, position(9)) } }) {
                // The eighth was pushed before; the ninth was missed.
                if peer.number == 2 { for seq in 8...10 { peer.send(message("lobby", UInt64(seq))) } }
                return
            }
            guard case .subscribe(let ask) = frame.frame else { return }
            peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.head) = (ask.room, position(7)) } }
            peer.send(message("lobby", 8))
            peer.drop()
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        _ = try await client.subscribe(room: "lobby", presence: true)
        let pushes = try await collect(client) { if case .message(let message) = $0 { message.text == "10" } else { false } }
        let texts = pushes.map { push in
            switch push {
            case .message(let message): message.text
            case .disconnected: "disconnected"
            case .reconnected(let welcome): "\(welcome.session) \(welcome.resumed.map(\.room))"
            default: "other"
            }
        }
        #expect(texts == ["8", "disconnected", "s2 [\"lobby\"]", "9", "10"])
        #expect(client.duplicatesDropped == 1)
        let again = try #require(hellos.all.last)
        #expect(again.session == "s1" && again.device == "given")
        #expect(
            again.resume == [
                .with { ($0.room, $0.position, $0.presence, $0.typing, $0.receipts) = ("lobby", position(8), true, false, false) }
            ])
        await client.close()
        await relay.stop()
    }

    @Test func roomsThatTakeLongerAreRefusedOrUnknownAreToldApart() async throws {
        let hellos = Seen<RelayHello>()
        let subscribes = Seen<RelaySubscribe>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            let welcomed = welcome(frame, peer, hellos) { ask in
                switch ask.room {
                case "slow": .with { ($0.room, $0.pending) = (ask.room, true) }
                case "secret": .with { ($0.room, $0.error.code) = (ask.room, .permissionDenied) }
                default: nil
                }
            }
            if welcomed, peer.number == 2 {
                peer.send(.with { $0.subscribed = .with { ($0.room, $0.recovered, $0.head) = ("slow", false, position(9)) } })
                peer.send(.with { $0.gap = .with { ($0.room, $0.from, $0.to) = ("slow", position(2), position(5)) } })
                peer.send(message("slow", 6))
            }
            guard case .subscribe(let ask) = frame.frame else { return }
            if peer.number == 2 { subscribes.add(ask) }
            peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.head, $0.recovered) = (ask.room, position(1), true) } }
            if peer.number == 1, ask.room == "other" { peer.drop() }
            if peer.number == 2 { peer.send(message("other", 2)) }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        for room in ["slow", "secret", "other"] { _ = try await client.subscribe(room: room) }
        let pushes = try await collect(client) { if case .message(let message) = $0 { message.room == "other" } else { false } }
        let texts = pushes.compactMap { push -> String? in
            switch push {
            case .message(let message): "\(message.room) \(message.text)"
            case .subscribed(let subscribed): "subscribed \(subscribed.room)"
            case .unsubscribed(let unsubscribed): "unsubscribed \(unsubscribed.room)"
            case .gap(let gap): "gap \(gap.from.seq)-\(gap.to.seq)"
            default: nil
            }
        }
        #expect(texts.filter { $0.contains("slow") || $0.contains("gap") } == ["subscribed slow", "gap 2-5", "slow 6"])
        #expect(texts.filter { !$0.contains("slow") && !$0.contains("gap") } == ["unsubscribed secret", "subscribed other", "other 2"])
        #expect(subscribes.all.map(\.room) == ["other"])
        #expect(subscribes.all.map(\.from.position) == [position(1)])
        #expect(client.resumeState.rooms.map(\.room) == ["slow", "other"])
        await client.close()
        await relay.stop()
    }

    @Test func aRoomThatIsRefusedForNowIsAskedForAgain() async throws {
        let hellos = Seen<RelayHello>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer, hellos, { ask in .with { ($0.room, $0.error.code) = (ask.room, .unavailable) } }) { return }
            guard case .subscribe(let ask) = frame.frame else { return }
            peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.head, $0.recovered) = (ask.room, position(1), true) } }
            if peer.number == 1 { peer.drop() }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        _ = try await client.subscribe(room: "lobby")
        let pushes = try await collect(client) { if case .subscribed = $0 { true } else { false } }
        #expect(!pushes.contains { if case .unsubscribed = $0 { true } else { false } })
        await client.close()
        await relay.stop()
    }

    @Test func anApplicationThatStartsAgainGoesOnWhereItWas() async throws {
        let hellos = Seen<RelayHello>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer, hellos, { ask in .with { ($0.room, $0.recovered) = (ask.room, true) } }) {
                for seq in 5...6 where peer.number == 2 { peer.send(message("lobby", UInt64(seq))) }
                return
            }
            guard case .subscribe(let ask) = frame.frame else { return }
            peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.head) = (ask.room, position(3)) } }
            for seq in 4...6 { peer.send(message("lobby", UInt64(seq))) }
        }
        let first = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        _ = try await first.subscribe(room: "lobby", receipts: true)
        // The fifth is in the application's hands, the sixth waits for it: only the fourth was handled.
        _ = try await collect(first) { if case .message(let message) = $0 { message.text == "5" } else { false } }
        let state = first.resumeState
        #expect(state.rooms == [.init(room: "lobby", position: Position(epoch: 1, seq: 4), receipts: true)])
        await first.close()
        let second = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions, resume: state)
        let pushes = try await collect(second) { if case .message(let message) = $0 { message.text == "6" } else { false } }
        #expect(pushes.count == 2 && second.duplicatesDropped == 0)
        #expect(hellos.all.last?.session == "s1")
        #expect(hellos.all.last?.resume.map(\.position) == [position(4)])
        await second.close()
        await relay.stop()
    }

    @Test func aStateThatTheRelayRefusesIsNoDeadEnd() async throws {
        let hellos = Seen<RelayHello>()
        let subscribes = Seen<RelaySubscribe>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if case .hello(let hello) = frame.frame, hello.hasSession {
                hellos.add(hello)
                peer.reply(frame.id) { $0.error.code = .invalidArgument }
                return peer.goodbye(4500)
            }
            if welcome(frame, peer, hellos, { _ in nil }) { return }
            guard case .subscribe(let ask) = frame.frame else { return }
            subscribes.add(ask)
            peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.recovered) = (ask.room, true) } }
        }
        let state = ResumeState(session: "rubbish", device: "phone", rooms: [.init(room: "lobby", position: .zero)])
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions, resume: state)
        _ = try await collect(client) { if case .subscribed = $0 { true } else { false } }
        #expect(hellos.all.map(\.hasSession) == [true, false])
        #expect(hellos.all.map(\.device) == ["phone", "phone"])
        #expect(subscribes.all.map(\.from.position) == [RelayPosition(.zero)])
        await client.close()
        await relay.stop()
    }

    /// A hello that is refused for now names the wait; while it passes nobody knocks.
    @Test func oneAttemptAtATimeAndNotBeforeTheSlot() async throws {
        let attempts = Seen<Int>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            guard case .hello = frame.frame else { return }
            attempts.add(peer.number)
            switch peer.number {
            case 2:
                peer.reply(frame.id) { $0.error = .with { ($0.code, $0.retryAfterMs) = (.unavailable, 300) } }
                peer.goodbye(4003, afterMs: 300)
            case 3:
                peer.reply(frame.id) { $0.error = .with { ($0.code, $0.retryAfterMs) = (.resourceExhausted, 300) } }
                peer.drop()
            default: _ = simpleWelcome(frame, peer)
            }
            if peer.number == 1 { peer.drop() }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        let pushes = try await collect(client) { if case .reconnected = $0 { true } else { false } }
        let waits = pushes.compactMap { push -> TimeSpan? in if case .disconnected(_, let wait) = push { wait } else { nil } }
        #expect(waits.count == 3 && waits[0] < .milliseconds(300) && waits[1] >= .milliseconds(300) && waits[2] >= .milliseconds(300))
        #expect(attempts.all == [1, 2, 3, 4])
        await client.close()
        await relay.stop()
    }

    @Test func aRefusedPublishIsRepeatedWithItsKeyIfTheApplicationWants() async throws {
        let keys = Seen<String>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if simpleWelcome(frame, peer) { return }
            guard case .publish(let publish) = frame.frame else { return }
            keys.add(publish.key)
            guard keys.all.filter({ $0 == publish.key }).count < 3 else { return published(frame, peer) }
            peer.reply(frame.id) { $0.error = .with { ($0.code, $0.retryAfterMs) = (.resourceExhausted, 1) } }
        }
        var options = quickOptions
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options)
        let answer = try await client.publish(room: "r", text: "x")
        #expect(keys.all == [answer.key, answer.key, answer.key])
        await client.close()
        options.retriesPublishes = false
        let strict = try await HeliographClient.connect(url: relay.url, token: "alice", options: options)
        await #expect {
            _ = try await strict.publish(room: "r", text: "x", key: "k")
        } throws: { error in
            if case HeliographClientError.refused(let refusal) = error { refusal.code == .resourceExhausted } else { false }
        }
        #expect(keys.all.filter { $0 == "k" }.count == 1)
        await strict.close()
        await relay.stop()
    }
}

/// The scripts' own, which the suite's hides.
private func simpleWelcome(_ frame: RelayClientFrame, _ peer: FakeRelay.Peer) -> Bool { welcome(frame, peer) }
