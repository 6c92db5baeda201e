import Foundation
import MeshCore
import NIOCore
import Push
import PushServers
import Testing

/// The webhook against a server on loopback that checks what it is sent.
@Suite struct WebhookTests {
    private let secret = Array("0123456789abcdef0123456789abcdef".utf8)
    private let clock = TestClock()

    private func sender(_ place: HTTPPlace) -> WebhookSender {
        WebhookSender(place, secret: secret, node: NodeID(region: RegionID("eu-west"), name: "n-0"), clock: clock.read)
    }

    @Test("one signed document for a batch, over a connection that is kept") func batch() async throws {
        let server = try await PushServer(.http1)
        let sender = sender(try server.place("/hook?a=b"))
        let batch = [PushDelivery(.test(1)), PushDelivery(.test(2, text: nil, reason: .unconfirmed))]
        #expect(await sender.send(batch) == [.done, .done])
        clock.advance(by: .seconds(60))
        #expect(await sender.send(batch) == [.done, .done])
        let (first, second) = (server.received[0], server.received[1])
        #expect(first.path == "/hook?a=b" && first.headers[":method"] == "POST" && first.headers["content-type"] == "application/json")
        #expect(first.headers["heliograph-node"] == "n-0")
        #expect(first.headers["host"] == "127.0.0.1:\(server.port)")
        for request in [first, second] {
            let timestamp = try #require(request.headers["heliograph-timestamp"])
            let expected = WebhookSignature.sign(timestamp: timestamp, body: request.body.utf8, secret: secret)
            #expect(request.headers["heliograph-signature"] == expected)
        }
        #expect(first.headers["heliograph-timestamp"] == "1795336284" && second.headers["heliograph-timestamp"] == "1795336344")
        // A repeat can be told from a new request.
        #expect(first.headers["heliograph-delivery"] == second.headers["heliograph-delivery"] && first.body == second.body)
        #expect(server.connections == 1)
        await server.stop()
    }

    @Test("the document says everything about each message") func document() async throws {
        let server = try await PushServer(.http1)
        _ = await sender(try server.place()).send([PushDelivery(.test(7)), PushDelivery(.test(8, text: nil))])
        let body = try #require(server.received.first?.body)
        #expect(
            body == """
                {"notifications":[{"at":1795336284007,"contentType":"text/plain","count":1,"from":"bob","id":"alice/1-7/message",\
                "position":{"epoch":1,"seq":7},"reason":"message","room":"@alice","text":"good morning","user":"alice"},\
                {"at":1795336284008,"contentType":"text/plain","count":1,"dataBytes":17,"from":"bob","id":"alice/1-8/message",\
                "position":{"epoch":1,"seq":8},"reason":"message","room":"@alice","user":"alice"}],"region":"eu-west"}
                """)
        await server.stop()
    }

    @Test("what a status means") func statuses() async throws {
        let server = try await PushServer(.http1)
        let sender = self.sender(try server.place())
        let cases: [(PushReply, PushOutcome)] = [
            (.status(204), .done), (.status(200, body: "{}"), .done),
            (.status(429, headers: ["retry-after": "7"]), .retry(after: .seconds(7), reason: "HTTP 429")),
            (.status(503), .retry(after: nil, reason: "HTTP 503")), (.status(500), .retry(after: nil, reason: "HTTP 500")),
            (.status(400), .refused(reason: "HTTP 400")), (.status(410), .refused(reason: "HTTP 410")),
            (.status(301, headers: ["location": "http://127.0.0.1:1/"]), .refused(reason: "HTTP 301")),
        ]
        for (reply, outcome) in cases {
            server.answer(reply)
            #expect(await sender.send([PushDelivery(.test(1))]) == [outcome], "\(reply)")
        }
        await server.stop()
    }

    @Test("a server that hangs, closes, is away or says too much") func failures() async throws {
        let server = try await PushServer(.http1)
        let impatient = self.sender(try server.place(deadline: .milliseconds(300)))
        server.answer(.hang)
        #expect(await impatient.send([PushDelivery(.test(1))]) == [.retry(after: nil, reason: "no answer within 300 ms")])
        let sender = self.sender(try server.place())
        let replies: [(PushReply, String)] = [
            (.close, "the connection was closed before the answer"),
            (.status(200, body: String(repeating: "x", count: 70_000)), "the answer is longer than 65536 bytes"),
        ]
        for (reply, reason) in replies {
            server.answer(reply)
            #expect(await sender.send([PushDelivery(.test(1))]) == [.retry(after: nil, reason: reason)])
        }
        await server.stop()
        guard case .retry(nil, let reason) = await sender.send([PushDelivery(.test(1))]).first else {
            Issue.record("no server, and yet an answer")
            return
        }
        #expect(reason.hasPrefix("cannot be reached"))
        try await server.start()
        server.answer(.status(200))
        #expect(await sender.send([PushDelivery(.test(1))]) == [.done])
        await server.stop()
    }

    @Test("a connection that the server closed between requests is made anew") func closedMeanwhile() async throws {
        let server = try await PushServer(.http1)
        let sender = self.sender(try server.place())
        #expect(await sender.send([PushDelivery(.test(1))]) == [.done])
        await server.stop()
        try await server.start()
        #expect(await sender.send([PushDelivery(.test(2))]) == [.done])
        #expect(server.received.map(\.connection) == [1, 2])
        await server.stop()
    }

    @Test("over TLS, and not to a server of another authority") func encrypted() async throws {
        let (certificates, others) = (try TestCertificates(), try TestCertificates())
        let server = try await PushServer(.http1, tls: certificates.serving("http/1.1"))
        #expect(
            await sender(try server.place(tls: certificates.trusting("http/1.1"))).send([PushDelivery(.test(1))]) == [.done])
        let mistrusting = sender(try server.place(tls: others.trusting("http/1.1")))
        guard case .retry = await mistrusting.send([PushDelivery(.test(2))]).first else {
            Issue.record("a stranger was trusted")
            return
        }
        #expect(server.received.count == 1)
        await server.stop()
    }
}
