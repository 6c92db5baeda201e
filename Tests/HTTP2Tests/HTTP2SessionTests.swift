import HTTP2
import MeshCore
import NIOCore
import Testing

@Suite("HTTP/2: two sessions and the streams between them")
struct HTTP2SessionTests {
    let pair = HTTP2Pair()

    /// A request with a body, answered with headers; returns its stream.
    private func open(_ request: TestBody, _ answer: TestBody) throws -> Int32 {
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: request))
        try pair.exchange()
        pair.server.respond(stream: stream, [":status": "200"], body: answer)
        try pair.exchange()
        return stream
    }

    @Test("a request, its answer and trailers") func exchange() throws {
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: TestBody("question")))
        try pair.exchange()
        #expect(
            pair.takeSeen().server == [
                .headers(stream: stream, HTTP2Pair.post, endsStream: false), .data(stream: stream, ByteBuffer(string: "question")),
                .endOfStream(stream: stream),
            ])
        pair.server.respond(stream: stream, [":status": "200"], body: TestBody("answer", end: .trailers(["grpc-status": "0"])))
        try pair.exchange()
        let seen = pair.takeSeen()
        #expect(
            seen.client == [
                .headers(stream: stream, [":status": "200"], endsStream: false), .data(stream: stream, ByteBuffer(string: "answer")),
                .headers(stream: stream, ["grpc-status": "0"], endsStream: true), .streamClosed(stream: stream, code: 0),
            ])
        #expect(seen.server == [.streamClosed(stream: stream, code: 0)])
    }

    @Test("headers alone can be an answer") func headersOnly() throws {
        let stream = try #require(pair.client.request(HTTP2Pair.get, body: TestBody()))
        try pair.exchange()
        _ = pair.takeSeen()
        pair.server.respond(stream: stream, [":status": "204", "heliograph-region": "eu-west"], body: nil)
        try pair.exchange()
        let answer: HTTP2Headers = [":status": "204", "heliograph-region": "eu-west"]
        #expect(pair.takeSeen().client == [.headers(stream: stream, answer, endsStream: true), .streamClosed(stream: stream, code: 0)])
    }

    @Test("bodies in pieces: a stream with nothing to say sleeps until it is resumed") func deferral() throws {
        let (request, answer) = (TestBody(end: nil), TestBody(end: nil))
        let stream = try open(request, answer)
        _ = pair.takeSeen()
        for piece in ["a", "bc", "def"] {
            request.bytes.writeString(piece)
            answer.bytes.writeString(piece.uppercased())
            try pair.exchange()
            #expect(pair.takeSeen() == ([], []), "not asked before it says so")
            pair.client.resume(stream: stream)
            pair.server.resume(stream: stream)
            try pair.exchange()
            #expect(
                pair.takeSeen() == (
                    [.data(stream: stream, ByteBuffer(string: piece.uppercased()))], [.data(stream: stream, ByteBuffer(string: piece))]
                ))
        }
        request.end = .endStream
        answer.end = .endStream
        pair.client.resume(stream: stream)
        pair.server.resume(stream: stream)
        try pair.exchange()
        #expect(pair.seenByServer.contains(.endOfStream(stream: stream)) && pair.seenByClient.contains(.endOfStream(stream: stream)))
    }

    @Test("many streams at once, and no more than the limit") func concurrency() throws {
        var limits = HTTP2Limits()
        limits.streamsMax = 10
        let pair = HTTP2Pair(limits)
        try pair.exchange()
        let streams = (0..<12).compactMap { _ in pair.client.request(HTTP2Pair.post, body: TestBody(end: nil)) }
        try pair.exchange()
        func opened() -> Int {
            pair.seenByServer.count { if case .headers = $0 { true } else { false } }
        }
        #expect(streams.count == 12 && opened() == 10, "a peer that knows the limit keeps the others back")
        for stream in streams.prefix(2) { pair.client.reset(stream: stream, .cancel) }
        try pair.exchange()
        #expect(opened() == 12)
    }

    @Test("a reset ends a stream, and no other") func reset() throws {
        let first = try open(TestBody(end: nil), TestBody(end: nil))
        let answer = TestBody(end: nil)
        let second = try open(TestBody(end: nil), answer)
        _ = pair.takeSeen()
        pair.client.reset(stream: first, .cancel)
        try pair.exchange()
        #expect(pair.takeSeen().server == [.streamClosed(stream: first, code: HTTP2ErrorCode.cancel.rawValue)])
        answer.bytes.writeString("here")
        pair.server.resume(stream: second)
        try pair.exchange()
        #expect(pair.takeSeen().client.last == .data(stream: second, ByteBuffer(string: "here")))
        #expect(!pair.server.isOver)
    }

    @Test("RFC 8441 is offered to clients") func extendedConnect() throws {
        #expect(!pair.client.peerAllowsExtendedConnect)
        try pair.exchange()
        #expect(pair.client.peerAllowsExtendedConnect)
        var request: HTTP2Headers = [":method": "CONNECT", ":protocol": "websocket"]
        for name in [":scheme", ":authority", ":path"] { request.add(name, HTTP2Pair.get[name] ?? "") }
        let stream = try #require(pair.client.request(request, body: TestBody(end: nil)))
        try pair.exchange()
        #expect(pair.takeSeen().server == [.headers(stream: stream, request, endsStream: false)])
    }

    @Test("cut at every byte, a conversation is the same") func cuts() throws {
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: TestBody("question", end: .trailers(["x": "y"]))))
        try pair.client.fill(bytesMax: 1 << 20)
        let bytes = pair.client.output
        func events(cutAt place: Int) throws -> [HTTP2Event] {
            let server = HTTP2Session(role: .server, limits: HTTP2Limits(), now: .zero)
            var events: [HTTP2Event] = []
            for part in [bytes.getSlice(at: 0, length: place), bytes.getSlice(at: place, length: bytes.readableBytes - place)] {
                events.merge(try server.receive(try #require(part), now: .zero))
            }
            return events
        }
        let whole = try events(cutAt: 0)
        #expect(whole.contains(.data(stream: stream, ByteBuffer(string: "question"))) && whole.count == 3)
        for place in 1..<bytes.readableBytes { #expect(try events(cutAt: place) == whole, "cut at \(place)") }
    }

    // MARK: GOAWAY

    @Test("a graceful end: streams on their way are served, later ones are not") func gracefulEnd() throws {
        let answer = TestBody(end: nil)
        let first = try open(TestBody(end: nil), answer)
        pair.server.announceShutdown()
        // This one was sent before the notice arrived.
        let second = try #require(pair.client.request(HTTP2Pair.get, body: TestBody()))
        try pair.exchange()
        #expect(pair.takeSeen().client.contains(.goaway(lastStream: .max, code: 0)))
        pair.server.shutDown()
        try pair.exchange()
        #expect(pair.takeSeen().client.contains(.goaway(lastStream: second, code: 0)))
        pair.server.respond(stream: second, [":status": "204"], body: nil)
        try pair.exchange()
        #expect(!pair.server.isOver, "a stream is open")
        answer.end = .endStream
        pair.server.resume(stream: first)
        pair.client.reset(stream: first, .noError)
        try pair.exchange()
        #expect(pair.server.isOver && pair.client.isOver)
    }

    @Test("a GOAWAY with a code ends everything at once") func terminate() throws {
        let stream = try open(TestBody(end: nil), TestBody(end: nil))
        pair.server.terminate(.internalError)
        try pair.exchange()
        #expect(pair.takeSeen().client.contains(.goaway(lastStream: stream, code: HTTP2ErrorCode.internalError.rawValue)))
        #expect(pair.server.isOver)
    }
}
