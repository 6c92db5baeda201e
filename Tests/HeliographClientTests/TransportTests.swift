import HTTP2
import MeshCore
import NIOCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What only HTTP/2 has, and what must hold on every transport whatever is under it.
@Suite(.timeLimit(.minutes(1))) struct TransportTests {
    private func disconnection(_ client: HeliographClient) async throws -> DisconnectCause? {
        let pushes = try await collect(client) { if case .reconnected = $0 { true } else { false } }
        guard case .disconnected(let cause, _)? = pushes.first else { return nil }
        return cause
    }

    /// What the first connection of a client is ended with; the second one is left alone.
    private func cause(_ transport: ClientTransport, of ending: PeerEnding) async throws -> DisconnectCause? {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer), peer.number == 1 { peer.end(ending) }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        let cause = try await disconnection(client)
        await client.close()
        await relay.stop()
        return cause
    }

    @Test func aCallsTrailersSayWhy() async throws {
        let cause = try await cause(.grpc, of: .ended(["grpc-status": "14", "grpc-message": "100%25 gone %E2%82%AC"]))
        #expect(cause == .callEnded(status: 14, message: "100% gone €"))
    }

    @Test func aCallThatIsRefusedForGoodIsTheEnd() async throws {
        let relay = try await FakeRelay.start(.grpc) { frame, peer in
            if welcome(frame, peer) { peer.end(.ended(["grpc-status": "16"])) }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(.grpc))
        await #expect {
            for try await _ in client.pushes {}
        } throws: { error in
            if case HeliographClientError.disconnected(.callEnded(16, _)) = error { true } else { false }
        }
        await relay.stop()
    }

    @Test(arguments: [ClientTransport.ndjson, .grpc, .webSocketOverHTTP2()])
    func aStreamThatIsResetOrWhoseConnectionGoesAwayIsOpenedAgain(transport: ClientTransport) async throws {
        #expect(try await cause(transport, of: .reset(.internalError)) == .transport("the server reset the stream: internalError"))
        let goaway = DisconnectCause.transport("the server ended the HTTP/2 connection: enhanceYourCalm")
        #expect(try await cause(transport, of: .goaway(.enhanceYourCalm)) == goaway)
    }

    @Test func aStreamThatEndsIsOpenedAgain() async throws {
        #expect(try await cause(.ndjson, of: .ended(nil)) == .transport("the server ended the stream"))
    }

    @Test(arguments: [ClientTransport.ndjson, .grpc]) func onStreamsTheClientGivesSignsOfLife(transport: ClientTransport) async throws {
        let pings = Counter()
        let seen = AsyncStream.makeStream(of: UInt32.self)
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer, heartbeatSeconds: 1) { return }
            guard case .ping = frame.frame else { return }
            _ = pings.next()
            peer.send(.with { $0.pong = RelayPong() })
            seen.continuation.yield(frame.id)
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        var ids: [UInt32] = []
        for await id in seen.stream {
            ids.append(id)
            if ids.count == 3 { break }
        }
        #expect(ids == [0, 0, 0])
        await client.close()
        await relay.stop()
    }

    /// A page larger than HTTP/2's windows in one direction, requests larger than the peer's in the other.
    @Test(arguments: everyTransport) func muchGoesThroughBothWays(transport: ClientTransport) async throws {
        let text = String(repeating: "0123456789abcdef", count: 3500)
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) { return }
            if case .publish(let publish) = frame.frame {
                #expect(publish.text == text)
                published(frame, peer)
            }
            if case .history = frame.frame {
                peer.reply(frame.id) { $0.history.messages = (0..<18).map { n in .with { ($0.room, $0.text) = ("\(n)", text) } } }
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for n in 0..<6 {
                group.addTask {
                    let published = try await client.publish(room: "r", text: text, key: "\(n)")
                    #expect(published.key == "\(n)")
                }
            }
            try await group.waitForAll()
        }
        let page = try await client.history(room: "r")
        #expect(page.messages.map(\.room) == (0..<18).map { "\($0)" } && page.messages.allSatisfy { $0.text == text })
        await client.close()
        await relay.stop()
    }

    @Test(arguments: [ClientTransport.webSocket(), .ndjson]) func aRelayThatDoesNotReadCostsNoMoreThanTheLimit(
        transport: ClientTransport
    ) async throws {
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) { peer.channel.setOption(.autoRead, value: false).whenComplete { _ in } }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        let text = String(repeating: "x", count: 65_000)
        let refused = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<400 {
                group.addTask {
                    do { _ = try await client.publish(room: "r", text: text) } catch HeliographClientError.tooManyRequests {
                        return true
                    } catch {}
                    return false
                }
            }
            let first = await group.first { $0 } ?? false
            await client.close()
            return first
        }
        #expect(refused)
        await relay.stop()
    }

    @Test(arguments: everyTransport) func aRefusedTransportIsTyped(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(FakeRelay.Manner(door: .init(transport), accepts: false)) { _, _ in }
        await #expect {
            _ = try await HeliographClient.connect(url: relay.url, token: "x", options: quickOptions(transport))
        } throws: { error in
            switch (error, transport) {
            case (HeliographClientError.callRefused(14, "not now"), .grpc): true
            case (HeliographClientError.handshakeRefused(503), .grpc): false
            case (HeliographClientError.handshakeRefused(503), _): true
            default: false
            }
        }
        await relay.stop()
    }

    /// An HTTP/1.1 server; an HTTP/2 server whose settings (RFC 9113, section 6.5: an empty frame) allow no extended CONNECT.
    @Test func aServerOfAnotherKindIsTyped() async throws {
        let old = try await FakeRelay.start(FakeRelay.Manner(greeting: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))) { _, _ in }
        let plain = try await FakeRelay.start(FakeRelay.Manner(greeting: [0, 0, 0, 4, 0, 0, 0, 0, 0])) { _, _ in }
        for (relay, transport, hint) in [(old, ClientTransport.grpc, "HTTP/2"), (plain, .webSocketOverHTTP2(), "RFC 8441")] {
            await #expect {
                _ = try await HeliographClient.connect(url: relay.url, token: "x", options: quickOptions(transport))
            } throws: { error in
                if case HeliographClientError.handshakeInvalid(let reason) = error { reason.contains(hint) } else { false }
            }
        }
        await old.stop()
        await plain.stop()
    }

    @Test(arguments: everyTransport) func aServerThatSaysNothingIsNotWaitedForLongerThanAllowed(transport: ClientTransport) async throws {
        let relay = try await FakeRelay.start(FakeRelay.Manner(greeting: [])) { _, _ in }
        var options = quickOptions(transport)
        options.connectTimeout = .milliseconds(500)
        await #expect {
            _ = try await HeliographClient.connect(url: relay.url, token: "x", options: options)
        } throws: { error in
            if case HeliographClientError.connectFailed = error { true } else { false }
        }
        await relay.stop()
    }
}
