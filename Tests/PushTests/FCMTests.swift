import Foundation
import JWTKit
import MeshCore
import Push
import PushServers
import Testing

/// Firebase Cloud Messaging and Google's token endpoint, played by servers on loopback.
@Suite struct FCMTests {
    private let clock = TestClock()

    /// A 2048-bit key made for these tests and used nowhere else.
    private static let key = try? Insecure.RSA.PrivateKey(pem: TestKeys.rsaPrivate)

    private func account(_ tokens: PushServer) throws -> ServiceAccount {
        let file = [
            "type": "service_account", "project_id": "chat-1", "private_key_id": "k1", "private_key": TestKeys.rsaPrivate,
            "client_email": "push@chat-1.example", "token_uri": tokens.url + "/token",
        ]
        return try #require(ServiceAccount(json: Array(try JSONEncoder().encode(file))))
    }

    private func delivery(_ seq: UInt64, token: String = "fcm:token_1-A") -> PushDelivery {
        PushDelivery(.test(seq), device: PushDevice(name: "phone", token: token))
    }

    private func withSender(_ body: (FCMSender, PushServer, PushServer) async throws -> Void) async throws {
        let (server, tokens) = (try await PushServer(.http2), try await PushServer(.http2))
        tokens.answer(.status(200, body: #"{"access_token":"ya29.first","expires_in":3599,"token_type":"Bearer"}"#))
        let sender = try FCMSender(server.place(), tokens: tokens.place("/token"), account: account(tokens), clock: clock.read)
        try await body(sender, server, tokens)
        await server.stop()
        await tokens.stop()
    }

    @Test("the access token is granted for a signed assertion, once for all") func grant() async throws {
        try await withSender { sender, server, tokens in
            #expect(await sender.send((1...20).map { delivery($0) }) == Array(repeating: .done, count: 20))
            #expect(tokens.received.count == 1)
            let request = try #require(tokens.received.first)
            #expect(request.path == "/token" && request.headers["content-type"] == "application/x-www-form-urlencoded")
            let prefix = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
            #expect(request.body.hasPrefix(prefix))
            let publicKey = try #require(Self.key).publicKey
            let claims = try await JWTKeyCollection().add(rsa: publicKey, digestAlgorithm: .sha256)
                .verify(String(request.body.dropFirst(prefix.count)), as: AnyClaims.self)
            #expect(claims.iss == "push@chat-1.example" && claims.aud == tokens.url + "/token")
            #expect(claims.scope == "https://www.googleapis.com/auth/firebase.messaging")
            #expect(claims.iat == 1_795_336_284 && claims.exp == 1_795_336_284 + 3_600)
        }
    }

    @Test("path, headers and document") func request() async throws {
        try await withSender { sender, server, _ in
            #expect(await sender.send([delivery(5)]) == [.done])
            let request = try #require(server.received.first)
            #expect(request.path == "/v1/projects/chat-1/messages:send" && request.headers[":method"] == "POST")
            #expect(request.headers["authorization"] == "Bearer ya29.first" && request.headers["content-type"] == "application/json")
            #expect(
                request.body == """
                    {"message":{"android":{"collapse_key":"@alice","priority":"HIGH"},"data":{"count":"1","epoch":"1","reason":"message",\
                    "room":"@alice","seq":"5"},"notification":{"body":"good morning","title":"bob"},"token":"fcm:token_1-A"}}
                    """)
        }
    }

    @Test("the token is renewed shortly before it ends, and when the service refuses it") func renewal() async throws {
        try await withSender { sender, server, tokens in
            _ = await sender.send([delivery(1)])
            clock.advance(by: .seconds(3_530))
            _ = await sender.send([delivery(2)])
            #expect(tokens.received.count == 1)
            clock.advance(by: .seconds(10))
            tokens.answer(.status(200, body: #"{"access_token":"ya29.second","expires_in":3599}"#))
            _ = await sender.send([delivery(3)])
            #expect(tokens.received.count == 2 && server.received.last?.headers["authorization"] == "Bearer ya29.second")
            server.answer(.status(401, body: #"{"error":{"status":"UNAUTHENTICATED"}}"#))
            #expect(await sender.send([delivery(4)]) == [.retry(after: nil, reason: "UNAUTHENTICATED")])
            server.answer(.status(200))
            #expect(await sender.send([delivery(5)]) == [.done])
            #expect(tokens.received.count == 3)
        }
    }

    @Test("what an answer means") func answers() async throws {
        try await withSender { sender, server, _ in
            func fault(_ status: String, _ code: String? = nil) -> String {
                let details = code.map {
                    #","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"\#($0)"}]"#
                }
                return "{\"error\":{\"status\":\"\(status)\"\(details ?? "")}}"
            }
            let cases: [(PushReply, PushOutcome)] = [
                (.status(404, body: fault("NOT_FOUND", "UNREGISTERED")), .gone),
                (.status(400, body: fault("INVALID_ARGUMENT", "INVALID_ARGUMENT")), .rejected(reason: "INVALID_ARGUMENT")),
                (.status(403, body: fault("PERMISSION_DENIED", "SENDER_ID_MISMATCH")), .rejected(reason: "SENDER_ID_MISMATCH")),
                (
                    .status(429, headers: ["retry-after": "60"], body: fault("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")),
                    .retry(after: .seconds(60), reason: "QUOTA_EXCEEDED")
                ),
                (.status(503, body: fault("UNAVAILABLE", "UNAVAILABLE")), .retry(after: nil, reason: "UNAVAILABLE")),
                (.status(500, body: "<html>"), .retry(after: nil, reason: "HTTP 500")),
            ]
            for (reply, outcome) in cases {
                server.answer(reply)
                #expect(await sender.send([delivery(1)]) == [outcome], "\(reply)")
            }
        }
    }

    @Test("without an access token nothing is sent") func noToken() async throws {
        try await withSender { sender, server, tokens in
            tokens.answer(.status(400, body: #"{"error":"invalid_grant"}"#))
            #expect(await sender.send([delivery(1)]) == [.retry(after: nil, reason: "the token endpoint answered HTTP 400")])
            #expect(server.received.isEmpty)
        }
    }
}
