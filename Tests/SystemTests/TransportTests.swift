import Foundation
import HeliographClient
import LocalMesh
import MeshCore
import Testing
import Wire

/// Every door of a relay, in every format that it has.
private let everyTransport: [ClientTransport] = [
    .webSocket(.json), .webSocket(.protobuf), .webSocket(WebSocketFormat(.json, compresses: true)),
    .webSocketOverHTTP2(.json), .webSocketOverHTTP2(.protobuf), .webSocketOverHTTP2(WebSocketFormat(.protobuf, compresses: true)),
    .ndjson, .grpc,
]

extension MeshUnderTest {
    /// A client of the library, which comes back by itself.
    fileprivate func client(
        _ transport: ClientTransport, at node: LocalMesh.Node, as user: String, heartbeatSeconds: UInt32? = nil
    ) async throws -> HeliographClient {
        var options = ClientOptions()
        options.transport = transport
        options.tls.trustFile = local.trustFile
        options.heartbeatSeconds = heartbeatSeconds
        return try await HeliographClient.connect(url: node.clientURL, token: token(user), options: options)
    }
}

extension HeliographClient {
    /// Waits for a push that means something to the test; the others are passed over. The suite's time limit ends a wait in vain.
    @discardableResult
    fileprivate func next<Found>(_ what: String, _ find: (ClientPush) -> Found?) async throws -> Found {
        for try await push in pushes {
            if let found = find(push) { return found }
        }
        throw SystemTestError("the pushes ended before: \(what)")
    }

    fileprivate func message(_ key: String) async throws -> RelayMessage {
        try await next("message \(key)") { push in
            if case .message(let message) = push, message.key == key { message } else { nil }
        }
    }
}

extension QuietMesh {
    /// Clients of the library at relays that nobody disturbs.
    @Suite struct TransportTests {
        let mesh: MeshUnderTest

        init() throws { mesh = try .current }

        @Test("every transport leads to the same session", arguments: everyTransport)
        func conversation(transport: ClientTransport) async throws {
            let room = MeshUnderTest.unique("ap-south/doors")
            let bob = try await mesh.client(.webSocket(), at: mesh.node("us-east"), as: MeshUnderTest.unique("bob"))
            _ = try await bob.subscribe(room: room, presence: true, typing: true)
            let alice = try await mesh.client(transport, at: mesh.node("eu-west"), as: MeshUnderTest.unique("alice"))
            let (name, other) = (alice.welcome.user, bob.welcome.user)
            #expect(alice.welcome.region == "eu-west" && alice.welcome.maxFrameBytes == 65_536)
            let subscribed = try await alice.subscribe(room: room, presence: true)
            #expect(Set(subscribed.members.map(\.user)) == [name, other])
            try await bob.next("alice is there") { push in
                if case .roomPresence(let presence) = push, presence.joined.contains(where: { $0.user == name }) { true } else { nil }
            }

            alice.setTyping(room: room, active: true)
            try await bob.next("alice types") { push in
                if case .typing(let typing) = push, typing.user == name, typing.active { true } else { nil }
            }
            let long = String(repeating: "grüße ", count: 5_000)
            let published = try await alice.publish(room: room, text: long, key: "a")
            for client in [alice, bob] {
                let message = try await client.message("a")
                #expect(message.text == long && message.from == name && message.position == published.position)
            }
            _ = try await bob.publish(room: room, text: "back", key: "b")
            #expect(try await alice.message("b").text == "back")
            #expect(try await alice.history(room: room).messages.map(\.key) == ["a", "b"])
            #expect(try await alice.ping() > .zero)

            await alice.close()
            try await bob.next("alice has left") { push in
                if case .roomPresence(let presence) = push, presence.left.contains(name) { true } else { nil }
            }
            await bob.close()
        }

        @Test("pages of history as large as pages may be", arguments: [ClientTransport.webSocketOverHTTP2(), .ndjson, .grpc])
        func muchAtOnce(transport: ClientTransport) async throws {
            let room = MeshUnderTest.unique("eu-west/much")
            let client = try await mesh.client(transport, at: mesh.node("eu-west"), as: MeshUnderTest.unique("reader"))
            let text = String(repeating: "x", count: 60_000)
            for n in 0..<12 { _ = try await client.publish(room: room, text: text, key: "\(n)") }
            var keys: [String] = []
            var position = Position.zero
            while keys.count < 12 {
                let page = try await client.history(room: room, after: position, limit: 12)
                #expect(!page.messages.isEmpty && page.messages.allSatisfy { $0.text == text })
                keys += page.messages.map(\.key)
                guard let last = page.messages.last else { break }
                position = Position(epoch: last.position.epoch, seq: last.position.seq)
            }
            #expect(keys == (0..<12).map { "\($0)" })
            await client.close()
        }

        @Test("a session that has nothing to say outlives its heartbeat", arguments: [ClientTransport.ndjson, .grpc])
        func quietStreams(transport: ClientTransport) async throws {
            let room = MeshUnderTest.unique("eu-west/quiet")
            let quiet = try await mesh.client(transport, at: mesh.node("eu-west"), as: MeshUnderTest.unique("quiet"), heartbeatSeconds: 5)
            _ = try await quiet.subscribe(room: room)
            let session = quiet.welcome.session
            // The relay gives a session up after 7.5 s of silence; then `disconnected` would come first.
            let deadline = ContinuousClock.now + .seconds(9)
            try await eventually("nine seconds have passed", within: .seconds(20)) { ContinuousClock.now > deadline }
            let other = try await mesh.client(.webSocket(), at: mesh.node("eu-west"), as: MeshUnderTest.unique("other"))
            _ = try await other.publish(room: room, text: "still there?", key: "k")
            let first = try await quiet.next("a push") { push -> ClientPush? in
                if case .roomPresence = push { nil } else { push }
            }
            guard case .message(let message) = first else { throw SystemTestError("\(first)") }
            #expect(message.key == "k" && quiet.welcome.session == session)
            await other.close()
            await quiet.close()
        }

        @Test("chat on every transport") func chat() async throws {
            let room = MeshUnderTest.unique("ap-south/chat")
            func chat(_ region: String, _ user: String, _ arguments: String...) async throws -> RunningProgram {
                let url = try await mesh.node(region).clientURL
                return try RunningProgram(
                    Program.heliograph,
                    ["chat", "--url", url, "--user", user, "--room", room, "--secret-file", mesh.local.tokenSecretFile] + arguments)
            }
            let chats = try await [
                chat("eu-west", "alice", "--transport", "grpc"), chat("us-east", "bob", "--transport", "ndjson"),
                chat("ap-south", "carol", "--transport", "h2-ws", "--encoding", "proto", "--compress"),
                chat("eu-west", "dave", "--transport", "ws", "--encoding", "proto"),
            ]
            for chat in chats {
                try await eventually("all are in: \(chat.output) \(chat.errors)") { chat.output.contains("connected to") }
            }
            for (index, chat) in chats.enumerated() { try chat.write("line \(index)\n") }
            for chat in chats {
                try await eventually("all lines are there: \(chat.output)") {
                    chats.indices.allSatisfy { chat.output.contains("line \($0)") }
                }
            }
            for chat in chats {
                chat.closeInput()
                #expect(try await chat.end().code == 0)
            }
        }

        @Test("options that contradict each other are a usage error") func contradictions() async throws {
            let common = ["chat", "--url", "http://127.0.0.1:1", "--user", "a", "--room", "r", "--token", "t"]
            for arguments in [
                ["--transport", "grpc", "--encoding", "json"], ["--transport", "ndjson", "--compress"], ["--transport", "smoke"],
            ] {
                let result = try await Program.run(Program.heliograph, common + arguments)
                #expect(result.code == 64, "\(arguments): \(result.errors)")
            }
        }
    }
}

extension FaultyMesh {
    /// Clients of the library whose relay goes away, one on every transport.
    @Suite(.serialized) struct TransportFaultTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node

        init() async throws {
            mesh = try .current
            try await mesh.heal()
            node = try await mesh.node("eu-west")
        }

        private func clients(in room: String) async throws -> [HeliographClient] {
            var clients: [HeliographClient] = []
            for transport in everyTransport {
                let client = try await mesh.client(transport, at: node, as: MeshUnderTest.unique("guest"))
                _ = try await client.subscribe(room: room)
                clients.append(client)
            }
            return clients
        }

        /// Why the client was away, and who welcomed it again; it is in its room then.
        private func absence(_ client: HeliographClient, from room: String) async throws -> (DisconnectCause, RelayWelcome) {
            let cause = try await client.next("the end") { push in if case .disconnected(let cause, _) = push { cause } else { nil } }
            let welcome = try await client.next("a welcome") { push in if case .reconnected(let welcome) = push { welcome } else { nil } }
            try await eventually("subscribed again") { try await client.members(room: room).members.contains { $0.user == welcome.user } }
            return (cause, welcome)
        }

        @Test("a relay that dies: everybody comes back to it, and is heard") func crash() async throws {
            let room = MeshUnderTest.unique("ap-south/crash")
            let clients = try await clients(in: room)
            try await mesh.local.kill(node.node, SIGKILL)
            _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
            try await mesh.local.restart(node.node)
            for client in clients {
                let (cause, welcome) = try await absence(client, from: room)
                guard case .transport = cause else { throw SystemTestError("\(client.options.transport): \(cause)") }
                #expect(welcome.region == "eu-west")
                let published = try await client.publish(room: room, text: "back")
                #expect(try await client.message(published.key).text == "back")
                await client.close()
            }
        }

        @Test("a relay that drains: everybody goes where it says") func drain() async throws {
            let room = MeshUnderTest.unique("ap-south/drain")
            let clients = try await clients(in: room)
            try await mesh.local.kill(node.node, SIGTERM)
            for client in clients {
                let (cause, welcome) = try await absence(client, from: room)
                guard case .goodbye(4000, _, _, let edges) = cause else { throw SystemTestError("\(client.options.transport): \(cause)") }
                #expect(edges.count == 2 && welcome.region != "eu-west")
                await client.close()
            }
            #expect(try await mesh.local.waitForExit(of: node.node, timeout: .seconds(10)) == .exited(0))
            try await mesh.local.restart(node.node)
        }
    }
}

extension EncryptedMeshTests {
    @Test("every transport, encrypted", arguments: everyTransport) func conversation(transport: ClientTransport) async throws {
        let room = MeshUnderTest.unique("ap-south/sealed")
        let client = try await mesh.client(transport, at: mesh.node("eu-west"), as: MeshUnderTest.unique("alice"))
        _ = try await client.subscribe(room: room)
        let text = String(repeating: "grüße ", count: 5_000)
        let published = try await client.publish(room: room, text: text, durability: .home)
        let message = try await client.message(published.key)
        #expect(message.text == text && message.position == published.position)
        await client.close()
    }

    @Test("chat and route over https, and who is not trusted") func commands() async throws {
        let url = try await mesh.node("us-east").clientURL
        #expect(url.hasPrefix("https://"))
        let common = ["chat", "--url", url, "--user", "alice", "--room", "lobby", "--secret-file", mesh.local.tokenSecretFile]
        for transport in ["ws", "h2-ws", "ndjson", "grpc"] {
            let chat = try RunningProgram(Program.heliograph, common + ["--transport", transport, "--ca", ca])
            try await eventually("connected by \(transport): \(chat.errors)") { chat.output.contains("connected to us-east-0") }
            chat.closeInput()
            #expect(try await chat.end().code == 0)
        }
        let stranger = try await Program.run(Program.heliograph, common)
        #expect(stranger.code == 1 && stranger.errors.contains("unknown_ca"), "\(stranger.errors)")
        let plain = try await Program.run(
            Program.heliograph, common.map { $0 == url ? url.replacing("https", with: "http") : $0 } + ["--transport", "grpc"])
        #expect(plain.code == 1, "a listener with TLS takes nobody without")
        let route = try await Program.run(Program.heliograph, ["route", "--url", url, "--room", "ap-south/lobby", "--ca", ca])
        #expect(route.code == 0 && route.output.contains("ap-south"), "\(route.errors)")
    }
}
