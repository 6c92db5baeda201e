import HTTP2
import MeshCore
import NIOCore
import Testing

@Suite("HTTP/2: windows")
struct FlowControlTests {
    private static let streamWindow = 32 << 10
    private static let connectionWindow = 128 << 10

    let pair: HTTP2Pair

    init() {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = Self.streamWindow
        limits.connectionWindowBytes = Self.connectionWindow
        pair = HTTP2Pair(limits)
    }

    private func download(_ bytes: Int) throws -> (stream: Int32, body: TestBody) {
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: TestBody(end: nil)))
        try pair.exchange()
        let body = TestBody(String(repeating: "x", count: bytes), end: nil)
        pair.server.respond(stream: stream, [":status": "200"], body: body)
        try pair.exchange()
        return (stream, body)
    }

    @Test("who does not consume gets a window full; the other streams go on") func exhaustedStream() throws {
        let slow = try download(1 << 20)
        #expect(pair.seenByClient.bytes(of: slow.stream) == Self.streamWindow)
        #expect(slow.body.readableBytes == (1 << 20) - Self.streamWindow, "the rest stays where it is")
        // Consumed for the connection, not for the stream: as a slow stream among others.
        pair.client.consumeConnection(bytes: Self.streamWindow)
        let quick = try download(1_000)
        #expect(pair.seenByClient.bytes(of: quick.stream) == 1_000)
        var taken = Self.streamWindow
        for _ in 0..<10 {
            pair.client.consume(stream: slow.stream, bytes: Self.streamWindow)
            pair.client.consumeConnection(bytes: Self.streamWindow)
            try pair.exchange()
            taken += Self.streamWindow
            #expect(pair.seenByClient.bytes(of: slow.stream) == taken)
        }
    }

    @Test("all streams together get the connection's window") func exhaustedConnection() throws {
        let streams = try (0..<8).map { _ in try download(1 << 20).stream }
        let sum = streams.reduce(0) { $0 + pair.seenByClient.bytes(of: $1) }
        #expect(sum == Self.connectionWindow)
    }

    @Test("uploads are held back the same way") func upload() throws {
        // Until it has read the settings a client goes by RFC 9113's window.
        try pair.exchange()
        let body = TestBody(String(repeating: "x", count: 1 << 20), end: nil)
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: body))
        try pair.exchange()
        #expect(pair.seenByServer.bytes(of: stream) == Self.streamWindow)
        pair.server.consume(stream: stream, bytes: Self.streamWindow)
        pair.server.consumeConnection(bytes: Self.streamWindow)
        try pair.exchange()
        #expect(pair.seenByServer.bytes(of: stream) == 2 * Self.streamWindow)
    }

    @Test("padding is given back by itself") func padding() {
        let peer = RawPeer()
        peer.send([.headers(1, HTTP2Pair.post)])
        // One byte of data and 255 of padding: more than the windows in all.
        let frame = RawFrame(kind: .data, flags: RawFrame.padded, stream: 1, payload: [255, 7] + [UInt8](repeating: 0, count: 255))
        for _ in 0..<6_000 {
            peer.send([frame])
            peer.server.consume(stream: 1, bytes: 1)
            peer.server.consumeConnection(bytes: 1)
        }
        #expect(peer.fault == nil && peer.goaway == nil && peer.resetCode(of: 1) == nil)
        #expect(peer.events.bytes(of: 1) == 6_000)
    }

    @Test("output is collected up to what was asked for") func outputBound() throws {
        let pair = HTTP2Pair()
        let stream = try #require(pair.client.request(HTTP2Pair.post, body: TestBody()))
        try pair.exchange()
        pair.server.respond(stream: stream, [":status": "200"], body: TestBody(String(repeating: "x", count: 100_000)))
        try pair.server.fill(bytesMax: 20_000)
        #expect((20_000..<20_000 + (16 << 10) + 9).contains(pair.server.output.readableBytes))
        try pair.exchange()
        #expect(pair.seenByClient.bytes(of: stream) == 100_000)
    }
}
