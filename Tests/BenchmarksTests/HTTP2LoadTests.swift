import HTTP2
import MeshCore
import NIOCore
import Testing

@testable import Benchmarks

@Suite struct HTTP2FrameTests {
    @Test(arguments: [1, 2, 8, 9, 10, 50, 1 << 16]) func framesAreFoundInAnyCut(size: Int) {
        var buffer = ByteBuffer()
        let lengths = [0, 1, 40, 300, 20_000]
        for (index, length) in lengths.enumerated() {
            HTTP2FrameHeader(length: length, kind: 0, flags: 1, stream: UInt32(2 * index + 1)).append(to: &buffer)
            buffer.writeRepeatingByte(UInt8(index), count: length)
            HTTP2FrameHeader(length: length, kind: 6, flags: 0, stream: 0x7FFF_FFFF).append(to: &buffer)
            buffer.writeRepeatingByte(0xEE, count: length)
        }
        var found: [UInt32: Int] = [:]
        var ended: [UInt32] = []
        var others: [Int] = []
        var reader = HTTP2FrameReader()
        let bytes = Array(buffer.readableBytesView)
        for start in stride(from: 0, to: bytes.count, by: size) {
            bytes[start..<min(bytes.count, start + size)].withUnsafeBytes { part in
                var index = 0
                while let piece = reader.next(part, from: &index) {
                    switch piece {
                    case .data(let stream, let range, let endsStream):
                        #expect(part[range].allSatisfy { UInt32($0) == stream / 2 })
                        found[stream, default: 0] += range.count
                        if endsStream { ended.append(stream) }
                    case .frame(let header):
                        #expect(header.kind == 6 && header.stream == 0x7FFF_FFFF)
                        #expect(reader.payload == [UInt8](repeating: 0xEE, count: min(header.length, HTTP2FrameReader.keptBytesMax)))
                        others.append(header.length)
                    }
                }
                #expect(index == part.count)
            }
        }
        #expect(ended == [1, 3, 5, 7, 9])
        #expect(ended.map { found[$0] } == lengths)
        #expect(others == lengths)
    }

    @Test func lengthsOfTextFollowTheStandardsExample() {
        var buffer = ByteBuffer()
        PlainHPACK.append("a", String(repeating: "b", count: 1337), to: &buffer)
        // RFC 7541, appendix C.1.2, with a prefix of seven bits: 1337 - 127 = 1210 = 9 * 128 + 58.
        #expect(Array(buffer.readableBytesView.prefix(6)) == [0, 1, UInt8(ascii: "a"), 127, 58 | 0x80, 9])
    }
}

/// The minimal client against the server's half of nghttp2, in memory.
@Suite struct HTTP2LoadClientTests {
    private final class Body: HTTP2Body {
        var bytes = ByteBuffer()
        var end: HTTP2BodyEnd?
        var readableBytes: Int { bytes.readableBytes }

        func take(_ count: Int, into buffer: inout ByteBuffer) {
            if var part = bytes.readSlice(length: count) { buffer.writeBuffer(&part) }
        }
    }

    /// Both ends and what the server has heard.
    private struct Pair {
        var client = HTTP2LoadClient()
        let server = HTTP2Session(role: .server, limits: HTTP2Limits(), now: Instant(nanoseconds: 0))
        var requests: [HTTP2Headers] = []
        var heard: [Int32: ByteBuffer] = [:]
        var ended: [Int32] = []
        var received: [Int: ByteBuffer] = [:]

        init() throws { try settle() }

        /// Carries bytes both ways until nobody has more to say.
        mutating func settle(consumes: Bool = true) throws {
            while true {
                let fromClient = client.output
                client.output = ByteBuffer()
                for event in try server.receive(fromClient, now: Instant(nanoseconds: 0)) { note(event, consumes) }
                try server.fill(bytesMax: .max)
                let fromServer = server.output
                server.output = ByteBuffer()
                guard fromClient.readableBytes + fromServer.readableBytes > 0 else { return }
                var received = received
                try fromServer.withUnsafeReadableBytes { bytes in
                    try client.receive(bytes) { stream, payload in received[stream, default: ByteBuffer()].writeBytes(payload) }
                }
                self.received = received
            }
        }

        private mutating func note(_ event: HTTP2Event, _ consumes: Bool) {
            switch event {
            case .headers(_, let headers, _): requests.append(headers)
            case .data(let stream, let bytes):
                heard[stream, default: ByteBuffer()].writeImmutableBuffer(bytes)
                guard consumes else { return }
                server.consumeConnection(bytes: bytes.readableBytes)
                server.consume(stream: stream, bytes: bytes.readableBytes)
            case .endOfStream(let stream): ended.append(stream)
            default: break
            }
        }
    }

    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

    @Test func requestsAnswersAndEndsAreUnderstood() throws {
        var pair = try Pair()
        #expect(pair.client.isReady && pair.client.allowsExtendedConnect)
        let headers = [(name: ":method", value: "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "b")]
        let streams = [pair.client.open(headers), pair.client.open(headers + [("x-long", String(repeating: "y", count: 5000))])]
        #expect(streams == [0, 1])
        pair.client.send(Array("hello".utf8), on: 1)
        try pair.settle()
        #expect(pair.requests.map { $0[":path"] } == ["/a", "/a"])
        #expect(pair.requests.last?["x-long"]?.count == 5000)
        #expect(pair.heard[3].map { String(buffer: $0) } == "hello")
        #expect(!pair.client.isAnswered(1))

        let body = Body()
        body.bytes = ByteBuffer(bytes: pattern(100_000))
        pair.server.respond(stream: 3, [":status": "200"], body: body)
        try pair.settle()
        #expect(pair.client.isAnswered(1) && !pair.client.isAnswered(0))
        #expect(pair.received[1] == ByteBuffer(bytes: pattern(100_000)))
        #expect(!pair.client.hasEnded(1))

        body.end = .trailers(["grpc-status": "0"])
        pair.server.resume(stream: 3)
        pair.client.finish(1)
        pair.server.reset(stream: 1, .cancel)
        try pair.settle()
        #expect(pair.client.hasEnded(0) && pair.client.hasEnded(1) && pair.client.endedStreams == 2)
        #expect(pair.ended == [3])
    }

    @Test func noMoreIsSentThanTheServerTakes() throws {
        var pair = try Pair()
        let limits = HTTP2Limits()
        let stream = pair.client.open([(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "b")])
        let bytes = pattern(3 * limits.streamWindowBytes)
        pair.client.send(bytes, on: stream)
        try pair.settle(consumes: false)
        #expect(pair.heard[1]?.readableBytes == limits.streamWindowBytes, "the rest waits for credit")
        pair.server.consumeConnection(bytes: limits.streamWindowBytes)
        pair.server.consume(stream: 1, bytes: limits.streamWindowBytes)
        try pair.settle()
        #expect(pair.heard[1] == ByteBuffer(bytes: bytes))
    }

    @Test func windowsAreToppedUpBeforeTheyAreEmpty() throws {
        var client = HTTP2LoadClient()
        _ = client.open([(":method", "POST")])
        client.output.clear()
        var frame = ByteBuffer()
        let length = 1 << 23
        HTTP2FrameHeader(length: length, kind: HTTP2FrameHeader.Kind.data, stream: 1).append(to: &frame)
        frame.writeRepeatingByte(0, count: length)
        var read = 0
        while client.output.readableBytes == 0 {
            try frame.withUnsafeReadableBytes { try client.receive($0) { _, payload in read += payload.count } }
            try #require(read < HTTP2LoadClient.windowBytes)
        }
        #expect(read >= HTTP2LoadClient.topUpBytes)
        var reader = HTTP2FrameReader()
        let output = Array(client.output.readableBytesView)
        for stream: UInt32 in [0, 1] {
            var index = stream == 0 ? 0 : 13
            let piece = output.withUnsafeBytes { reader.next($0, from: &index) }
            #expect(piece == .frame(HTTP2FrameHeader(length: 4, kind: HTTP2FrameHeader.Kind.windowUpdate, stream: stream)))
            #expect(reader.payload == withUnsafeBytes(of: UInt32(read).bigEndian) { Array($0) })
        }
    }

    @Test func whatIsNoGoodAnswerIsAnError() throws {
        var refused = try Pair()
        _ = refused.client.open([(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "b")])
        try refused.settle()
        refused.server.respond(stream: 1, [":status": "404"], body: nil)
        #expect(throws: BenchmarkError.self) { try refused.settle() }
        var gone = try Pair()
        gone.server.terminate(.noError)
        #expect(throws: BenchmarkError.self) { try gone.settle() }
    }
}
