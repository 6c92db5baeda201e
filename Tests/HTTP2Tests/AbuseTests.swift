import HTTP2
import MeshCore
import NIOCore
import Testing

/// A clock that the test moves: what is too much is a matter of time.
@Suite("HTTP/2 against peers that do not keep to it")
struct AbuseTests {
    /// What a peer may do so often a second, and how.
    struct Flood: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var perSecond: Int
        var opens = false
        var frames: @Sendable (UInt32) -> [RawFrame]
    }

    static let floods: [Flood] = [
        Flood(testDescription: "PING", perSecond: 50) { _ in [.ping] },
        Flood(testDescription: "SETTINGS", perSecond: 50) { _ in [.settings] },
        Flood(testDescription: "PRIORITY", perSecond: 50) { n in
            [RawFrame(kind: .priority, stream: 2 * n + 1, payload: [0, 0, 0, 0, 1])]
        },
        Flood(testDescription: "empty DATA", perSecond: 50, opens: true) { _ in [RawFrame(kind: .data, stream: 1)] },
        Flood(testDescription: "DATA with nothing but padding", perSecond: 50, opens: true) { _ in
            [RawFrame(kind: .data, flags: 0x8, stream: 1, payload: [0])]
        },
        Flood(testDescription: "WINDOW_UPDATE", perSecond: 100) { _ in [.windowUpdate(0, by: 1)] },
        Flood(testDescription: "rapid reset", perSecond: 100) { n in [.headers(2 * n + 1, HTTP2Pair.post), .reset(2 * n + 1)] },
        Flood(testDescription: "requests that must be reset", perSecond: 100) { n in [.headers(2 * n + 1, [":method": "GET"])] },
    ]

    private func peer(for flood: Flood) -> RawPeer {
        let peer = RawPeer()
        if flood.opens { peer.send([.headers(1, HTTP2Pair.post)]) }
        return peer
    }

    @Test("a flood ends the connection: a burst, and not one more", arguments: floods) func floodIsCut(_ flood: Flood) {
        let peer = peer(for: flood)
        let taken = peer.flood(20_000, flood.frames)
        let burst = flood.perSecond * 10
        #expect((burst - 5...burst + 1).contains(taken), "\(taken)")
        #expect(peer.fault?.kind == .flood, "\(String(describing: peer.fault))")
        #expect(peer.goaway == HTTP2ErrorCode.enhanceYourCalm.rawValue && peer.server.isOver)
    }

    @Test("somewhat slower than that it goes on for ever", arguments: floods) func busyPeer(_ flood: Flood) {
        let peer = peer(for: flood)
        let count = flood.perSecond * 60
        let interval = TimeSpan(nanoseconds: 1_050_000_000 / Int64(flood.perSecond))
        #expect(peer.flood(count, every: interval, flood.frames) == count, "\(String(describing: peer.fault))")
        #expect(peer.goaway == nil)
    }

    @Test("a client that measures its path with every DATA frame is not cut") func measuringPeer() throws {
        let peer = RawPeer()
        let body = TestBody("", end: nil)
        peer.send([.headers(1, HTTP2Pair.post)])
        peer.server.respond(stream: 1, [":status": "200"], body: body)
        for _ in 0..<5_000 {
            body.bytes.writeString("a message")
            peer.server.resume(stream: 1)
            peer.send([.windowUpdate(0, by: 9), .windowUpdate(1, by: 9), .ping])
        }
        #expect(peer.fault == nil && peer.goaway == nil, "\(String(describing: peer.fault))")
    }

    @Test("a connection that is gone lets go of its streams") func forgottenBodies() {
        let peer = RawPeer()
        weak var body: TestBody?
        do {
            let held = TestBody("", end: nil)
            body = held
            peer.send([.headers(1, HTTP2Pair.post)])
            peer.server.respond(stream: 1, [":status": "200"], body: held)
        }
        #expect(body != nil, "as long as the stream is there it is asked")
        peer.server.forgetBodies()
        #expect(body == nil)
    }

    @Test("a client that resets each finished stream 50 times a second is not cut") func gentleResets() {
        let peer = RawPeer()
        let count = peer.flood(50 * 60, every: .milliseconds(20)) { n in
            let stream = Int32(2 * n + 1)
            if n > 0 { peer.server.respond(stream: stream - 2, [":status": "204"], body: nil) }
            return (n > 0 ? [.reset(2 * n - 1, code: 0)] : []) + [.headers(2 * n + 1, HTTP2Pair.get)]
        }
        #expect(count == 3_000 && peer.fault == nil && peer.goaway == nil)
    }

    @Test("whoever is sent much may open windows often") func windowUpdatesOfAReader() throws {
        let peer = RawPeer()
        peer.send([.headers(1, HTTP2Pair.post)])
        let body = TestBody(end: nil)
        peer.server.respond(stream: 1, [":status": "200"], body: body)
        peer.collect()
        let count = peer.flood(5_000) { _ in
            body.bytes.writeRepeatingByte(7, count: 2_048)
            peer.server.resume(stream: 1)
            return [.windowUpdate(0, by: 2_048), .windowUpdate(1, by: 2_048)]
        }
        #expect(count == 5_000 && peer.fault == nil)
    }

    // MARK: Headers

    private func fields(_ count: Int, bytes: Int = 1) -> HTTP2Headers {
        var headers = HTTP2Pair.get
        for n in 0..<count { headers.add("x-\(n)", String(repeating: "y", count: bytes)) }
        return headers
    }

    @Test("header blocks up to the limits, and not above them") func headerLimits() {
        for (headers, isTooLarge) in [
            (fields(96), false), (fields(97), true), (fields(1, bytes: 16_000), false), (fields(1, bytes: 16_384), true),
        ] {
            let peer = RawPeer()
            let block = RawFrame.block(headers)
            let frames = stride(from: 0, to: block.count, by: 16_000).map { Array(block[$0..<min($0 + 16_000, block.count)]) }
            for (index, part) in frames.enumerated() {
                let flags = index == frames.count - 1 ? RawFrame.endHeaders : 0
                peer.send([RawFrame(kind: index == 0 ? .headers : .continuation, flags: flags, stream: 1, payload: part)])
            }
            #expect((peer.fault?.kind == .headersTooLarge) == isTooLarge)
            #expect(peer.goaway == (isTooLarge ? HTTP2ErrorCode.enhanceYourCalm.rawValue : nil))
        }
    }

    @Test("a header block in too many pieces") func continuations() {
        let peer = RawPeer()
        peer.send([.headers(1, HTTP2Pair.get, 0)])
        let taken = peer.flood(1_000) { n in [RawFrame(kind: .continuation, stream: 1, payload: RawFrame.block(["x-\(n)": "y"]))] }
        #expect(taken == HTTP2Limits().continuationsMax)
        #expect(peer.fault?.kind == .headersTooLarge && peer.goaway == HTTP2ErrorCode.enhanceYourCalm.rawValue)
    }

    // MARK: Frames out of place

    @Test("DATA after END_STREAM breaks the connection") func dataAfterEnd() {
        let peer = RawPeer()
        peer.send([.headers(1, HTTP2Pair.post, RawFrame.endHeaders | RawFrame.endStream)])
        peer.send([RawFrame(kind: .data, stream: 1, payload: [1])])
        #expect(peer.goaway == HTTP2ErrorCode.streamClosed.rawValue && peer.server.isOver)
        #expect(peer.events.contains(.invalidFrame), "it is reported, to be counted")
    }

    @Test(
        "frames that break the connection are reported",
        arguments: [
            RawFrame(kind: .data, stream: 9, payload: [1]), RawFrame(kind: .windowUpdate, payload: [0, 0, 0, 0]),
            RawFrame(kind: .ping, payload: [1]), RawFrame(kind: .settings, stream: 3), RawFrame(kind: .goaway, stream: 1, payload: [0]),
            .headers(2, HTTP2Pair.get),
            RawFrame(kind: .headers, flags: RawFrame.endHeaders, stream: 1, payload: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            RawFrame(kind: .pushPromise, flags: RawFrame.endHeaders, stream: 1, payload: [0, 0, 0, 2]),
            RawFrame(kind: .data, stream: 1, payload: Array(repeating: 0, count: 16_385)), RawFrame(kind: .continuation, stream: 1),
        ]) func brokenFrames(_ frame: RawFrame)
    {
        let peer = RawPeer()
        peer.send([frame])
        #expect(peer.goaway ?? 0 != 0 && peer.server.isOver)
        #expect(peer.fault?.kind == .protocolError || peer.events.contains(.invalidFrame))
    }

    @Test("frames of noise end the connection or are taken, and nothing else", arguments: 0..<60 as Range<UInt64>) func noise(
        _ seed: UInt64
    ) {
        var random = SeededRandom(seed: seed)
        func bytes(_ most: Int) -> [UInt8] {
            (0..<Int.random(in: 0...most, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        }
        let peer = RawPeer()
        for _ in 0..<100 {
            let kind = RawFrame.Kind(rawValue: .random(in: 0...9, using: &random)) ?? .data
            let stream = UInt32.random(in: 0...9, using: &random)
            let flags = UInt8.random(in: 0...255, using: &random)
            let isRequest = Bool.random(using: &random)
            peer.send([
                isRequest ? .headers(stream | 1, HTTP2Pair.post) : RawFrame(kind: kind, flags: flags, stream: stream, payload: bytes(20))
            ])
            if Bool.random(using: &random) { peer.server.respond(stream: Int32(stream), [":status": "200"], body: TestBody("x")) }
        }
        #expect(peer.fault == nil || peer.server.isOver)
    }

    @Test("what is no HTTP/2 at all") func garbage() {
        let server = HTTP2Session(role: .server, limits: HTTP2Limits(), now: .zero)
        #expect(throws: HTTP2Fault.self) { try server.receive(ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!"), now: .zero) }
    }

    @Test("a request that breaks a rule of its own is reset, and the connection goes on") func brokenRequests() {
        let peer = RawPeer()
        let broken: [HTTP2Headers] = [[":method": "GET"], [":path": "/", ":status": "200"], ["UPPER": "case"]]
        for (index, headers) in broken.enumerated() {
            let stream = UInt32(2 * index + 1)
            peer.send([.headers(stream, headers)])
            #expect(peer.resetCode(of: stream) == HTTP2ErrorCode.protocolError.rawValue, "\(headers)")
        }
        #expect(peer.events.count { $0 == .invalidFrame } == broken.count)
        peer.send([.headers(99, HTTP2Pair.get)])
        #expect(peer.events.contains(.headers(stream: 99, HTTP2Pair.get, endsStream: false)) && peer.goaway == nil)
    }
}
