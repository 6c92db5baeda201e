import Foundation
import JWTKit
import MeshCore
import Push
import PushServers
import Testing

/// Apple's service as its documentation has it, played by a server on loopback.
@Suite struct APNsTests {
    private let key = ES256PrivateKey()
    private let clock = TestClock()
    private let topic = "com.example.chat"

    private func sender(_ place: HTTPPlace) throws -> APNsSender {
        try APNsSender(
            place, key: key.pemRepresentation, keyID: "ABC123DEFG", teamID: "TEAM567890", topic: topic, lifetime: .seconds(3_600),
            clock: clock.read)
    }

    private func delivery(_ seq: UInt64, token: String = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0")
        -> PushDelivery
    {
        PushDelivery(.test(seq), device: PushDevice(name: "phone", token: token))
    }

    @Test("path, headers, payload and a token that our key has signed") func request() async throws {
        let certificates = try TestCertificates()
        let server = try await PushServer(.http2, tls: certificates.serving("h2"))
        #expect(try await sender(server.place(tls: certificates.trusting("h2"))).send([delivery(5)]) == [.done])
        let request = try #require(server.received.first)
        #expect(request.path == "/3/device/00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0")
        let wanted = [
            ":method": "POST", ":scheme": "https", "apns-topic": topic, "apns-push-type": "alert", "apns-priority": "10",
            "apns-collapse-id": "@alice", "apns-expiration": "1795339884", "content-length": String(request.body.utf8.count),
        ]
        for (name, value) in wanted { #expect(request.headers[name] == value, "\(name)") }
        let id = try #require(request.headers["apns-id"])
        #expect(UUID(uuidString: id) != nil && id == id.lowercased())
        #expect(
            request.body == """
                {"aps":{"alert":{"body":"good morning","title":"bob"},"sound":"default","thread-id":"@alice"},\
                "heliograph":{"count":1,"position":{"epoch":1,"seq":5},"reason":"message","room":"@alice"}}
                """)
        let bearer = try #require(request.headers["authorization"])
        #expect(bearer.hasPrefix("bearer "))
        let token = String(bearer.dropFirst(7))
        let claims = try await JWTKeyCollection().add(ecdsa: key.publicKey, kid: "ABC123DEFG").verify(token, as: AnyClaims.self)
        #expect(claims.iss == "TEAM567890" && claims.iat == 1_795_336_284)
        let header = try #require(token.split(separator: ".").first.flatMap { Data(base64Encoded: Self.padded($0)) })
        let fields = try JSONDecoder().decode([String: String].self, from: header)
        #expect(fields["alg"] == "ES256" && fields["kid"] == "ABC123DEFG")
        await server.stop()
    }

    private static func padded(_ text: Substring) -> String {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return plain + String(repeating: "=", count: (4 - plain.count % 4) % 4)
    }

    @Test("many at once on one connection, never more than the server takes") func streams() async throws {
        let server = try await PushServer(.http2, streamsMax: 7)
        let sender = try sender(server.place())
        let outcomes = await sender.send((1...200).map { delivery($0) })
        #expect(outcomes == Array(repeating: .done, count: 200))
        #expect(Set(server.received.map(\.connection)) == [1] && server.received.count == 200)
        #expect(server.streamsPeak <= 7)
        #expect(Set(server.received.compactMap { $0.headers["apns-id"] }).count == 200)
        await server.stop()
    }

    @Test("the token is used for 40 minutes, and renewed at once when the service calls it expired") func tokens() async throws {
        let server = try await PushServer(.http2)
        let sender = try sender(server.place())
        func bearers() -> [String] { server.received.compactMap { $0.headers["authorization"] } }
        _ = await sender.send((1...3).map { delivery($0) })
        clock.advance(by: .seconds(39 * 60))
        _ = await sender.send([delivery(4)])
        #expect(Set(bearers()).count == 1)
        clock.advance(by: .seconds(60))
        _ = await sender.send([delivery(5)])
        #expect(Set(bearers()).count == 2)
        let old = try #require(bearers().last)
        clock.advance(by: .seconds(1))
        server.answer { request in
            request.headers["authorization"] == old
                ? .status(403, body: #"{"reason":"ExpiredProviderToken"}"#) : .status(200)
        }
        #expect(await sender.send([delivery(6), delivery(7)]) == [.done, .done])
        server.answer(.status(403, body: #"{"reason":"ExpiredProviderToken"}"#))
        #expect(await sender.send([delivery(8)]) == [.retry(after: nil, reason: "ExpiredProviderToken")])
        await server.stop()
    }

    @Test("what an answer means") func answers() async throws {
        let server = try await PushServer(.http2)
        let sender = try sender(server.place())
        let cases: [(Int, String, [String: String], PushOutcome)] = [
            (410, "Unregistered", [:], .gone), (400, "BadDeviceToken", [:], .gone),
            (400, "PayloadEmpty", [:], .rejected(reason: "PayloadEmpty")),
            (413, "PayloadTooLarge", [:], .rejected(reason: "PayloadTooLarge")),
            (403, "InvalidProviderToken", [:], .retry(after: nil, reason: "InvalidProviderToken")),
            (429, "TooManyRequests", ["retry-after": "3"], .retry(after: .seconds(3), reason: "TooManyRequests")),
            (500, "InternalServerError", [:], .retry(after: nil, reason: "InternalServerError")),
            (503, "Shutdown", [:], .retry(after: nil, reason: "Shutdown")),
        ]
        for (status, reason, headers, outcome) in cases {
            server.answer(.status(status, headers: headers, body: "{\"reason\":\"\(reason)\"}"))
            #expect(await sender.send([delivery(1)]) == [outcome], "\(status) \(reason)")
        }
        #expect(server.connections == 1)
        await server.stop()
    }

    @Test("a server that hangs, closes or is away; the next goes to a new connection") func failures() async throws {
        let server = try await PushServer(.http2)
        let impatient = try self.sender(server.place(deadline: .milliseconds(500)))
        server.answer(.hang)
        #expect(await impatient.send([delivery(1)]) == [.retry(after: nil, reason: "no answer within 500 ms")])
        let sender = try self.sender(server.place())
        server.answer(.close)
        #expect(await sender.send([delivery(4)]) == [.retry(after: nil, reason: "the connection was closed before the answer")])
        server.answer(.status(200))
        #expect(await sender.send([delivery(5)]) == [.done])
        await server.stop()
        guard case .retry = await sender.send([delivery(6)]).first else {
            Issue.record("no server, and yet an answer")
            return
        }
        try await server.start()
        #expect(await sender.send([delivery(7)]) == [.done])
        await server.stop()
    }

    @Test("a payload never has more than 4,096 bytes, a collapse id not more than 64") func bounds() async throws {
        let server = try await PushServer(.http2)
        let long = PushNotification.test(1, user: String(repeating: "a", count: 200), text: String(repeating: "\u{1}", count: 4_000))
        _ = try await sender(server.place()).send([PushDelivery(long, device: PushDevice(name: "phone", token: "ab"))])
        let request = try #require(server.received.first)
        #expect(request.body.utf8.count <= 4_096 && request.body.utf8.count > 1_000)
        #expect(try #require(request.headers["apns-collapse-id"]).utf8.count <= 64)
        await server.stop()
    }

    @Test("a server that does not agree on HTTP/2 is not spoken to") func otherProtocol() async throws {
        let certificates = try TestCertificates()
        let server = try await PushServer(.http1, tls: certificates.serving("http/1.1"))
        guard case .retry = try await sender(server.place(tls: certificates.trusting("h2"))).send([delivery(1)]).first else {
            Issue.record("spoken to")
            return
        }
        #expect(server.received.isEmpty)
        await server.stop()
    }

    @Test("a key that is none is refused at once") func badKey() async throws {
        let server = try await PushServer(.http2)
        let place = try server.place()
        #expect(throws: APNsSender.KeyFault.self) {
            try APNsSender(place, key: "no key", keyID: "A", teamID: "B", topic: "c", lifetime: .seconds(1), clock: clock.read)
        }
        await server.stop()
    }
}
