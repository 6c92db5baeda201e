import MeshCore
import NIOCore
import Testing

@testable import Wire

private typealias Event = WebSocketParser.Event

private func events(_ stream: ByteBuffer, role: WebSocketParser.Role = .client, messageBytesMax: Int = 1 << 20) -> [Event] {
    var parser = WebSocketParser(role: role, messageBytesMax: messageBytesMax, inflater: WebSocketInflater())
    var buffer = stream
    var events: [Event] = []
    while let event = parser.next(&buffer) { events.append(event) }
    return events
}

private func events(_ stream: [UInt8], messageBytesMax: Int = 1 << 20) -> [Event] {
    events(ByteBuffer(bytes: stream), messageBytesMax: messageBytesMax)
}

@Suite("Compressed frames")
struct CompressedFramesTests {
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    // RFC 7692, sections 6.2 and 7.2.3.1.
    @Test("examples of the standard") func standard() {
        let text = Event.text(ByteBuffer(string: "Hello"))
        #expect(events([0xC1, 0x07] + Self.hello) == [text])
        #expect(events([0x41, 0x03, 0xF2, 0x48, 0xCD, 0x80, 0x04, 0xC9, 0xC9, 0x07, 0x00]) == [text])
        #expect(events([0x41, 0x03, 0xF2, 0x48, 0xCD, 0x89, 0, 0x80, 0x04, 0xC9, 0xC9, 0x07, 0x00]) == [.ping(ByteBuffer()), text])
        #expect(events([0xC2, 0x01, 0x00, 0x81, 0x01, 0x61]) == [.binary(ByteBuffer()), .text(ByteBuffer(string: "a"))])
    }

    static let violations: [([UInt8], WebSocketViolation)] = [
        ([0xC9, 0x00], .reservedBits), ([0xCA, 0x00], .reservedBits), ([0xC8, 0x00], .reservedBits),
        ([0xC0, 0x00], .reservedBits), ([0x01, 0x01, 0x61, 0xC0, 0x01, 0x62], .reservedBits),
        ([0x41, 0x03, 0xF2, 0x48, 0xCD, 0xC0, 0x04, 0xC9, 0xC9, 0x07, 0x00], .reservedBits),
        ([0xE1, 0x00], .reservedBits), ([0xD1, 0x00], .reservedBits), ([0xA1, 0x00], .reservedBits), ([0xC3, 0x00], .reservedOpcode),
        ([0xC1, 0x00], .invalidCompression), ([0xC1, 0x02, 0xFF, 0xFF], .invalidCompression),
        ([0xC1, 0x06] + hello.dropLast(), .invalidCompression),
        // "\xFF" in a block without compression.
        ([0xC1, 0x07, 0x00, 0x01, 0x00, 0xFE, 0xFF, 0xFF, 0x00], .invalidText),
    ]

    @Test("what is refused", arguments: violations) func refuses(stream: [UInt8], violation: WebSocketViolation) {
        #expect(events(stream + [0x81, 0]) == [.violation(violation)])
    }

    @Test("the limit holds for what travels and for what comes out of it") func limits() {
        #expect(events([0xC1, 0x07] + Self.hello, messageBytesMax: 7).count == 1)
        #expect(events([0xC1, 0x07] + Self.hello, messageBytesMax: 6) == [.violation(.messageTooLarge)])
        var stream = ByteBuffer()
        WebSocketFrames.appendCompressed(
            .binary, ByteBuffer(repeating: 0, count: 10_000), deflater: WebSocketDeflater(windowBits: 15), to: &stream)
        #expect(events(stream, messageBytesMax: 10_000) == [.binary(ByteBuffer(repeating: 0, count: 10_000))])
        #expect(events(stream, messageBytesMax: 9_999) == [.violation(.messageTooLarge)])
    }

    @Test("fragments of a compressed message", arguments: 0..<50) func fragments(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let payload = ByteBuffer(bytes: (0..<5000).map { _ in UInt8.random(in: 97...105, using: &random) })
        var compressed = ByteBuffer()
        let deflater = WebSocketDeflater(windowBits: Int.random(in: 9...15, using: &random))
        #expect(payload.withUnsafeReadableBytes { deflater.compress($0, into: &compressed) })
        var stream = ByteBuffer()
        var isFirst = true
        repeat {
            let part = compressed.readSlice(length: Int.random(in: 0...compressed.readableBytes, using: &random)) ?? ByteBuffer()
            let start = stream.writerIndex
            WebSocketFrames.append(
                isFirst ? .text : .continuation, part, mask: .random(in: 0...9, using: &random), isCompressed: isFirst, to: &stream)
            if compressed.readableBytes > 0 { stream.setInteger((isFirst ? 0x41 : 0x00) as UInt8, at: start) }
            isFirst = false
        } while compressed.readableBytes > 0
        #expect(events(stream, role: .server) == [.text(payload)])
    }

    @Test("a sealed batch is read again", arguments: [0, 1, 63, 64, 65, 125, 126, 127, 1000, 65_535, 65_536, 70_000, 1 << 20])
    func seals(size: Int) {
        for period in [1, 10, 251] {
            let payload = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 % period) })
            var batch = ByteBuffer(string: "xbefore")
            batch.moveReaderIndex(forwardBy: 1)
            let deflater = WebSocketDeflater(windowBits: 15)
            for _ in 0..<2 {
                let start = WebSocketBatch.reserveHeader(in: &batch)
                batch.writeImmutableBuffer(payload)
                WebSocketBatch.sealCompressedFrame(in: &batch, start: start, opcode: .binary, deflater: deflater)
            }
            #expect(batch.readString(length: 6) == "before")
            #expect(events(batch) == [.binary(payload), .binary(payload)])
            if size >= 1000 { #expect(batch.readableBytes < size, "it shrinks") }
        }
    }

    @Test("a sealed batch equals a frame of its own") func sealsAsAppends() {
        let payload = ByteBuffer(repeating: 65, count: 100_000)
        let deflater = WebSocketDeflater(windowBits: 9)
        var appended = ByteBuffer()
        WebSocketFrames.appendCompressed(.text, payload, deflater: deflater, to: &appended)
        var batch = ByteBuffer()
        let start = WebSocketBatch.reserveHeader(in: &batch)
        batch.writeImmutableBuffer(payload)
        WebSocketBatch.sealCompressedFrame(in: &batch, start: start, opcode: .text, deflater: deflater)
        #expect(batch == appended)
        #expect(events(batch) == [.text(payload)])
    }

    @Test("short messages and noise travel as they are") func uncompressed() {
        var random = SeededRandom(seed: 5)
        let deflater = WebSocketDeflater(windowBits: 15)
        let noise = ByteBuffer(bytes: (0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) })
        for payload in [ByteBuffer(repeating: 65, count: WebSocketFrames.compressedBytesMin - 1), noise] {
            var plain = ByteBuffer()
            WebSocketFrames.append(.binary, payload, mask: 9, to: &plain)
            var frame = ByteBuffer()
            WebSocketFrames.appendCompressed(.binary, payload, mask: 9, deflater: deflater, to: &frame)
            #expect(frame == plain)
        }
    }

    @Test("an inflater shared by two connections keeps their messages apart") func shared() {
        let inflater = WebSocketInflater()
        var parsers = [0, 1].map { _ in WebSocketParser(role: .client, messageBytesMax: 1000, inflater: inflater) }
        var halves = [ByteBuffer(bytes: [0x41, 0x03, 0xF2, 0x48, 0xCD]), ByteBuffer(bytes: [0x80, 0x04, 0xC9, 0xC9, 0x07, 0x00])]
        #expect(parsers[0].next(&halves[0]) == nil)
        var garbage = ByteBuffer(bytes: [0xC1, 0x02, 0xF2, 0x48])
        #expect(parsers[1].next(&garbage) == .violation(.invalidCompression))
        #expect(parsers[0].next(&halves[1]) == .text(ByteBuffer(string: "Hello")))
    }
}
