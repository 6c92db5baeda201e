import LocalMesh
import MeshCore
import NIOCore
import SwiftProtobuf
import Testing
import Wire

/// Small limits and short waits, so that going past them costs little.
@Suite(
    "Bad input", .serialized,
    .mesh(
        yaml: """
            limits:
              maxServerFrameBytes: 128KiB
              outboxBytesMax: 256KiB
            timings:
              outboxStall: 6s
              handshakeTimeout: 1s
              helloTimeout: 1s
            """), .timeLimit(.minutes(2))) enum StrictMesh
{}

/// Bytes that no client should send, and what they get.
struct BadInput: Sendable, CustomTestStringConvertible {
    var what: String
    var encoding = FrameEncoding.json
    var saysHello = true
    /// A payload as one message, or bytes for the wire.
    var payload: ByteBuffer?
    var opcode: WebSocketOpcode?
    var raw: [UInt8] = []
    var goodbye: UInt32?
    var close: UInt16
    var drop: String

    var testDescription: String { what }

    static func text(_ what: String, _ text: String, saysHello: Bool = true, _ code: UInt16 = 4500, _ drop: String = "malformed_frame")
        -> BadInput
    {
        BadInput(
            what: what, saysHello: saysHello, payload: ByteBuffer(string: text), goodbye: UInt32(code), close: code, drop: drop)
    }

    static func protobuf(_ what: String, _ bytes: [UInt8]) -> BadInput {
        BadInput(what: what, encoding: .protobuf, payload: ByteBuffer(bytes: bytes), goodbye: 4500, close: 4500, drop: "malformed_frame")
    }

    static func violation(_ what: String, _ raw: [UInt8], _ code: UInt16 = 1002) -> BadInput {
        BadInput(what: what, raw: raw, close: code, drop: "protocol_error")
    }

    static let all: [BadInput] = [
        .text("not JSON", "{bad"), .text("no object", "[]"), .text("nothing", ""), .text("no request", #"{"id":5}"#),
        .text("two requests", #"{"id":5,"ping":{},"unsubscribe":{"room":"x"}}"#), .text("an unknown request", #"{"id":5,"fly":{}}"#),
        .text("a word for a number", #"{"id":"x","ping":{}}"#), .text("a number for a word", #"{"id":5,"subscribe":{"room":7}}"#),
        .text("a negative id", #"{"id":-1,"ping":{}}"#), .text("a good frame, then a bad one", "{\"ping\":{}}\n{\"ping\":"),
        .text("very deep", #"{"id":5,"x":"# + String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000) + "}"),
        .text("before hello", #"{"id":1,"ping":{}}"#, saysHello: false, 4501, "unauthenticated"),
        .text("not JSON before hello", "hello", saysHello: false),
        .protobuf("garbage", [0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), .protobuf("a length without its frame", [0x7F, 0x0A]),
        .protobuf("an empty frame", [0x00]), .protobuf("an endless length", Array(repeating: 0xFF, count: 11)),
        BadInput(what: "binary where text is due", payload: ByteBuffer(string: "{}"), opcode: .binary, close: 1003, drop: "protocol_error"),
        BadInput(
            what: "text where binary is due", encoding: .protobuf, payload: ByteBuffer(string: "{}"), opcode: .text, close: 1003,
            drop: "protocol_error"),
        BadInput(what: "text that is not UTF-8", payload: ByteBuffer(bytes: [0x22, 0xC3, 0x28]), close: 1007, drop: "protocol_error"),
        .violation("an unmasked frame", [0x81, 0x02, 0x7B, 0x7D]), .violation("a reserved opcode", [0x83, 0x80, 0, 0, 0, 0]),
        .violation("a reserved bit", [0xC1, 0x80, 0, 0, 0, 0]), .violation("a fragmented ping", [0x09, 0x80, 0, 0, 0, 0]),
        .violation("a continuation of nothing", [0x80, 0x80, 0, 0, 0, 0]), .violation("a long ping", [0x89, 0xFE, 0, 0x7E, 0, 0, 0, 0]),
        .violation("a close code that nobody sends", [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED]),
        .text("a frame above maxFrameBytes", #"{"ping":{},"x":""# + String(repeating: "x", count: 65_536) + "\"}", 4503, "frame_too_large"),
        BadInput(
            what: "a message far above it", payload: ByteBuffer(repeating: 0x20, count: 300_000), goodbye: 4503, close: 1009,
            drop: "frame_too_large"),
        BadInput(
            what: "a hello above 1 MiB", saysHello: false, payload: ByteBuffer(repeating: 0x20, count: (1 << 20) + 1), goodbye: 4503,
            close: 1009, drop: "frame_too_large"),
        BadInput(
            what: "a header that promises too much", raw: [0x81, 0xFF, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0], goodbye: 4503, close: 1009,
            drop: "frame_too_large"),
    ]
}

extension StrictMesh {
    /// Each gets its code, is counted under its reason, and disturbs nobody.
    @Suite(.serialized) struct BadInputTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node
        let bystander: TestClient

        init() async throws {
            mesh = try .current
            node = try await mesh.node("eu-west")
            bystander = try await TestClient.connect(node, as: MeshUnderTest.unique("bystander"))
        }

        private func drops(_ reason: String) async throws -> Double { try await Metrics.scrape(node.operationsURL).drops(reason) }

        private func expectUndisturbed() async throws {
            let room = MeshUnderTest.unique("eu-west/quiet")
            try await bystander.subscribe(room)
            let published = try await bystander.publish(room, "still here")
            _ = try await bystander.messages(room, until: published.key)
            await bystander.close()
        }

        @Test("a bad frame", arguments: BadInput.all) func badFrame(_ input: BadInput) async throws {
            let before = try await drops(input.drop)
            let client =
                input.saysHello
                ? try await TestClient.connect(node, as: MeshUnderTest.unique("bad"), encoding: input.encoding)
                : try await TestClient.open(node, encoding: input.encoding)
            if let payload = input.payload {
                client.sendMessage(input.opcode ?? input.encoding.opcode, payload)
            } else {
                client.sendBytes(ByteBuffer(bytes: input.raw))
            }
            #expect(await client.closeCode() == input.close)
            let goodbyes = client.recorder.record.frames.compactMap { frame in
                if case .goodbye(let goodbye) = frame.frame { goodbye.code } else { nil }
            }
            #expect(goodbyes == (input.goodbye.map { [$0] } ?? []))
            #expect(try await drops(input.drop) == before + 1, "\(input.drop)")
            try await expectUndisturbed()
        }

        @Test("a hello may have 1 MiB") func longHello() async throws {
            let client = try await TestClient.open(node)
            let token = try await mesh.token("long-hello")
            let start = #"{"id":1,"hello":{"token":"\#(token)"},"ignored":""#
            client.sendText(start + String(repeating: "x", count: (1 << 20) - start.utf8.count - 2) + "\"}")
            guard case .welcome = try await client.reply(1) else { throw SystemTestError("no welcome") }
            await client.close()
            try await expectUndisturbed()
        }

        // MARK: Tokens

        @Test("a bad token: UNAUTHENTICATED, then 4501") func badTokens() async throws {
            let good = try await mesh.token("alice")
            let parts = good.split(separator: ".").map(String.init)
            let other = try await mesh.token("mallory").split(separator: ".").map(String.init)
            let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + "."
            let tokens = try await [
                "", "nonsense", parts[0] + "." + other[1] + "." + parts[2], unsigned, mesh.token(claims: TestClaims(sub: nil)),
                mesh.token(claims: TestClaims(sub: "a b")), mesh.token(claims: TestClaims(sub: "$a")),
                mesh.token(claims: TestClaims(sub: "alice", exp: nil)), mesh.token(claims: TestClaims(sub: "alice", role: "king")),
            ]
            let before = try await drops("unauthenticated")
            for token in tokens {
                let client = try await TestClient.open(node)
                let error = try await client.error(of: .hello(.with { $0.token = token }))
                #expect(error.code == .unauthenticated, "\(token)")
                let goodbye = try await client.goodbye()
                #expect(goodbye.code == 4501 && !goodbye.reconnect)
                #expect(await client.closeCode() == 4501)
            }
            #expect(try await drops("unauthenticated") == before + Double(tokens.count))
            try await expectUndisturbed()
        }

        @Test("an expired token: UNAUTHENTICATED, then 4004") func expiredToken() async throws {
            let before = try await drops("token_expired")
            let client = try await TestClient.open(node)
            let token = try await mesh.token(claims: TestClaims(sub: "alice", exp: 1_600_000_000))
            #expect(try await client.error(of: .hello(.with { $0.token = token })).code == .unauthenticated)
            let goodbye = try await client.goodbye()
            #expect(goodbye.code == 4004 && goodbye.reconnect)
            #expect(await client.closeCode() == 4004)
            #expect(try await drops("token_expired") == before + 1)
            try await expectUndisturbed()
        }

        // MARK: Silence

        @Test("half a handshake is not held open", arguments: ["", "GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: webso"])
        func halfHandshake(_ start: String) async throws {
            let before = try await drops("handshake_timeout")
            let begun = ContinuousClock.now
            let client = try await TestClient.dial(node)
            client.sendBytes(ByteBuffer(string: start))
            #expect(await client.closeCode(within: .seconds(5)) == nil)
            #expect(ContinuousClock.now - begun > .milliseconds(900) && ContinuousClock.now - begun < .seconds(3))
            #expect(try await drops("handshake_timeout") == before + 1)
            try await expectUndisturbed()
        }

        @Test("no hello: 4006") func noHello() async throws {
            let before = try await drops("hello_timeout")
            let begun = ContinuousClock.now
            let client = try await TestClient.open(node)
            // Bytes are no hello.
            client.sendMessage(.ping, ByteBuffer())
            let goodbye = try await client.goodbye()
            #expect(goodbye.code == 4006 && goodbye.reconnect)
            #expect(await client.closeCode() == 4006)
            #expect(ContinuousClock.now - begun > .milliseconds(900) && ContinuousClock.now - begun < .seconds(4))
            #expect(try await drops("hello_timeout") == before + 1)
            try await expectUndisturbed()
        }

        @Test("a silent client is asked, then 4001; one that answers stays") func silence() async throws {
            let before = try await drops("heartbeat_missed")
            let begun = ContinuousClock.now
            let silent = try await TestClient.connect(node, as: MeshUnderTest.unique("silent"), heartbeatSeconds: 5, answersPings: false)
            let alive = try await TestClient.connect(node, as: MeshUnderTest.unique("alive"), heartbeatSeconds: 5)
            let goodbye = try await silent.goodbye(within: .seconds(12))
            let passed = ContinuousClock.now - begun
            #expect(goodbye.code == 4001 && goodbye.reconnect)
            #expect(passed > .seconds(7) && passed < .milliseconds(10_500), "\(passed)")
            #expect(await silent.closeCode() == 4001)
            #expect(silent.recorder.record.pings >= 1 && alive.recorder.record.pings >= 1)
            #expect(try await drops("heartbeat_missed") == before + 1)
            try await alive.ping()
            await alive.close()
            try await expectUndisturbed()
        }

        @Test("a subscriber that never reads is cut off; the others get everything") func slowConsumer() async throws {
            let before = try await drops("slow_consumer")
            let room = MeshUnderTest.unique("us-east/busy")
            let slow = try await TestClient.connect(node, as: MeshUnderTest.unique("slow"), receiveBytes: 4_096)
            let reader = try await TestClient.connect(node, as: MeshUnderTest.unique("reader"))
            let writer = try await TestClient.connect(try await mesh.node("us-east"), as: MeshUnderTest.unique("writer"))
            for client in [slow, reader] { try await client.subscribe(room) }
            try await slow.stopReading()
            let text = String(repeating: "x", count: 16_000)
            let keys = (0..<200).map { "k\($0)" }
            for start in stride(from: 0, to: keys.count, by: 20) {
                _ = try await writer.publishAll(room, Array(keys[start..<start + 20]), text: text)
                _ = try await reader.messages(room, until: keys[start + 19])
            }
            try await eventually("the slow one is cut off") { try await drops("slow_consumer") == before + 1 }
            try await reader.expectWhole(room, until: keys.last ?? "", keys: keys)
            try await slow.resumeReading()
            let code = await slow.closeCode()
            #expect(code == nil || code == 4002)
            for frame in slow.recorder.record.frames {
                if case .goodbye(let goodbye) = frame.frame { #expect(goodbye.code == 4002 && goodbye.reconnect) }
            }
            await reader.close()
            await writer.close()
            try await expectUndisturbed()
        }
    }
}
