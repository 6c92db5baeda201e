import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What a client asks for by itself after a reconnect is asked for until it is there.
@Suite(.timeLimit(.minutes(1))) struct ResubscriptionTests {
    private func position(_ seq: UInt64) -> RelayPosition { RelayPosition(Position(epoch: 1, seq: seq)) }

    private func stored(_ rooms: [String]) -> ResumeState {
        ResumeState(rooms: rooms.map { ResumeState.Room(room: $0, position: Position(epoch: 1, seq: 4)) })
    }

    private func answer(_ ask: RelaySubscribe, _ id: UInt32, _ peer: FakeRelay.Peer) {
        peer.reply(id) { $0.subscribed = .with { ($0.room, $0.head, $0.recovered) = (ask.room, position(4), true) } }
    }

    @Test func moreRoomsThanRequestsMayWaitAreAllSubscribed() async throws {
        let names = (0..<3_500).map { "room-\($0)" }
        let asked = Seen<String>()
        let relay = try await FakeRelay.start(.webSocket(.protobuf)) { frame, peer in
            if case .hello(let hello) = frame.frame {
                return peer.reply(frame.id) {
                    $0.welcome.user = hello.token
                    $0.welcome.resumed = hello.resume.map { ask in .with { ($0.room, $0.recovered) = (ask.room, true) } }
                }
            }
            guard case .subscribe(let ask) = frame.frame else { return }
            asked.add(ask.room)
            answer(ask, frame.id, peer)
        }
        let client = try await HeliographClient.connect(
            url: relay.url, token: "alice", options: quickOptions(.webSocket(.protobuf)), resume: stored(names))
        var missing = Set(names.suffix(1_500))
        for try await push in client.pushes {
            if case .subscribed(let subscribed) = push { missing.remove(subscribed.room) }
            if missing.isEmpty { break }
        }
        #expect(asked.all == names.suffix(1_500))
        await client.close()
        await relay.stop()
    }

    @Test func aSubscriptionThatNobodyAnswersIsRepeated() async throws {
        let asked = Counter()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            guard case .subscribe(let ask) = frame.frame, ask.from.position == position(4), asked.next() > 1 else { return }
            answer(ask, frame.id, peer)
        }
        var options = quickOptions
        options.requestTimeout = .seconds(1)
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options, resume: stored(["lobby"]))
        _ = try await collect(client) { if case .subscribed(let subscribed) = $0 { subscribed.room == "lobby" } else { false } }
        #expect(asked.current > 1)
        await client.close()
        await relay.stop()
    }

    @Test func aWatchThatIsRefusedForNowIsRepeated() async throws {
        let watches = Counter()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            guard case .watch(let watch) = frame.frame else { return }
            switch watches.next() {
            case 1:
                peer.reply(frame.id) { $0.watching = .init() }
                peer.drop()
            case 2: peer.reply(frame.id) { $0.error.code = .unavailable }
            default:
                peer.reply(frame.id) { $0.watching = .init() }
                for user in watch.users { peer.send(.with { $0.userPresence.user = user }) }
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        _ = try await client.watch(users: ["bob"])
        _ = try await collect(client) { if case .userPresence(let presence) = $0 { presence.user == "bob" } else { false } }
        #expect(watches.current == 3)
        await client.close()
        await relay.stop()
    }

    @Test func theApplicationsOwnSubscriptionOfAPostponedRoomLeavesNoHole() async throws {
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if case .hello(let hello) = frame.frame {
                return peer.reply(frame.id) {
                    $0.welcome.user = hello.token
                    $0.welcome.resumed = hello.resume.map { ask in
                        .with {
                            $0.room = ask.room
                            ($0.error.code, $0.error.retryAfterMs) = (.unavailable, 60_000)
                        }
                    }
                }
            }
            guard case .subscribe(let ask) = frame.frame else { return }
            peer.reply(frame.id) {
                $0.subscribed = .with { ($0.room, $0.head, $0.recovered) = (ask.room, position(6), ask.hasFrom) }
            }
            // Who does not say where she is hears only what is new.
            for seq in (ask.hasFrom ? ask.from.position.seq + 1 : 7)...7 {
                peer.send(.with { $0.message = .with { ($0.room, $0.position) = (ask.room, position(seq)) } })
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions, resume: stored(["lobby"]))
        _ = try await client.subscribe(room: "lobby", presence: true)
        let pushes = try await collect(client) { if case .message(let message) = $0 { message.position.seq == 7 } else { false } }
        let seqs = pushes.compactMap { push -> UInt64? in if case .message(let message) = push { message.position.seq } else { nil } }
        #expect(seqs == [5, 6, 7])
        #expect(client.resumeState.rooms.map(\.presence) == [true])
        await client.close()
        await relay.stop()
    }
}
