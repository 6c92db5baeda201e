import MeshCore
import NIOCore
import Testing

@testable import Wire

private func compress(_ payload: ByteBuffer, _ deflater: WebSocketDeflater) -> ByteBuffer? {
    var output = ByteBuffer()
    return payload.withUnsafeReadableBytes { deflater.compress($0, into: &output) } ? output : nil
}

/// Words drawn from a small vocabulary: what chat looks like to a compressor.
private func prose(bytes: Int, using random: inout SeededRandom) -> ByteBuffer {
    var text = ByteBuffer()
    let words = ["relay", "presence", "room", "über", "{\"message\":", "lobby", "1234567", "☂"]
    while text.readableBytes < bytes { text.writeString(words[Int.random(in: 0..<words.count, using: &random)] + " ") }
    return text
}

private func noise(bytes: Int, using random: inout SeededRandom) -> ByteBuffer {
    ByteBuffer(bytes: (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &random) })
}

@Suite("Deflate streams")
struct DeflateStreamsTests {
    @Test("every window gives back what it took", arguments: WebSocketDeflater.windowBitsRange)
    func roundTrips(windowBits: Int) throws {
        var random = SeededRandom(seed: UInt64(windowBits))
        let deflater = WebSocketDeflater(windowBits: windowBits)
        let inflater = WebSocketInflater()
        for bytes in [64, 100, 511, 512, 513, 4096, 70_000, 300_000] {
            let text = prose(bytes: bytes, using: &random)
            let compressed = try #require(compress(text, deflater), "\(bytes) bytes")
            #expect(compressed.readableBytes < text.readableBytes)
            #expect(try inflater.inflate(compressed, bytesMax: text.readableBytes) == text)
        }
    }

    @Test("what does not shrink is not compressed, and nothing is appended", arguments: [0, 1, 2, 64, 1000, 100_000])
    func incompressible(bytes: Int) {
        var random = SeededRandom(seed: 7)
        let payload = noise(bytes: bytes, using: &random)
        var output = ByteBuffer(string: "before")
        let deflater = WebSocketDeflater(windowBits: 15)
        #expect(!payload.withUnsafeReadableBytes { deflater.compress($0, into: &output) })
        #expect(output == ByteBuffer(string: "before"))
        let next = ByteBuffer(repeating: 65, count: 100)
        #expect(compress(next, deflater) == compress(next, WebSocketDeflater(windowBits: 15)), "the failure leaves nothing behind")
    }

    @Test("a message may shrink by any number of bytes") func barelyShrinks() throws {
        var random = SeededRandom(seed: 3)
        let deflater = WebSocketDeflater(windowBits: 15)
        let inflater = WebSocketInflater()
        var savings: Set<Int> = []
        for repeats in 0...60 {
            var payload = noise(bytes: 100, using: &random)
            payload.writeRepeatingByte(1, count: repeats)
            guard let compressed = compress(payload, deflater) else { continue }
            savings.insert(payload.readableBytes - compressed.readableBytes)
            #expect(try inflater.inflate(compressed, bytesMax: 1000) == payload)
        }
        #expect(savings.contains(1), "the tightest fit was met: \(savings.sorted())")
    }

    // RFC 7692, section 7.2.3, without the second message of 7.2.3.2, which needs the first one's window.
    static let examples: [(String, [UInt8], String)] = [
        ("one block", [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], "Hello"),
        ("no compression", [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], "Hello"),
        ("last block inside", [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], "Hello"),
        ("two blocks", [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00], "Hello"),
        ("empty", [0x00], ""),
        ("empty last block", [0x01], ""),
        (
            "a message after a last block", [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
            "HelloHello"
        ),
    ]

    @Test("examples of the standard", arguments: examples) func standard(name: String, payload: [UInt8], text: String) throws {
        let inflater = WebSocketInflater()
        #expect(try inflater.inflate(ByteBuffer(bytes: payload), bytesMax: 10) == ByteBuffer(string: text))
    }

    @Test("no window outlives its message") func noContext() throws {
        let inflater = WebSocketInflater()
        _ = try inflater.inflate(ByteBuffer(bytes: [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]), bytesMax: 10)
        #expect(throws: WebSocketViolation.invalidCompression) {
            try inflater.inflate(ByteBuffer(bytes: [0xF2, 0x00, 0x11, 0x00, 0x00]), bytesMax: 10)
        }
        let deflater = WebSocketDeflater(windowBits: 15)
        let payload = ByteBuffer(string: String(repeating: "presence ", count: 20))
        #expect(compress(payload, deflater) == compress(payload, deflater))
    }

    @Test("a bomb costs its limit", arguments: [0, 1, 511, 512, 513, 1 << 16, (1 << 20) - 1, 1 << 20, 3_000_000])
    func bombs(bytesMax: Int) throws {
        let bytes = 8 << 20
        let deflater = WebSocketDeflater(windowBits: 15)
        let bomb = try #require(compress(ByteBuffer(repeating: 0, count: bytes), deflater))
        #expect(bytes / bomb.readableBytes > 200)
        let inflater = WebSocketInflater()
        #expect(throws: WebSocketViolation.messageTooLarge) { try inflater.inflate(bomb, bytesMax: bytesMax) }
        #expect(inflater.producedBytes == bytesMax + 1)
        guard bytesMax >= 511, let whole = compress(ByteBuffer(repeating: 0, count: bytesMax), deflater) else { return }
        #expect(try inflater.inflate(whole, bytesMax: bytesMax).readableBytes == bytesMax)
        #expect(throws: WebSocketViolation.messageTooLarge) { try inflater.inflate(whole, bytesMax: bytesMax - 1) }
    }

    @Test("a stream that is cut anywhere is refused") func cutStreams() throws {
        var random = SeededRandom(seed: 11)
        let inflater = WebSocketInflater()
        let whole = try #require(compress(prose(bytes: 3000, using: &random), WebSocketDeflater(windowBits: 15)))
        for bytes in 0..<whole.readableBytes {
            let part = try #require(whole.getSlice(at: whole.readerIndex, length: bytes))
            #expect(throws: WebSocketViolation.invalidCompression, "\(bytes) bytes") { try inflater.inflate(part, bytesMax: 10_000) }
        }
    }

    @Test("garbage harms nobody else", arguments: 0..<200) func garbage(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let inflater = WebSocketInflater()
        let deflater = WebSocketDeflater(windowBits: 9)
        for _ in 0..<20 {
            let text = prose(bytes: 600, using: &random)
            var compressed = try #require(compress(text, deflater))
            #expect(try inflater.inflate(compressed, bytesMax: 1000) == text)
            for _ in 0..<3 {
                let index = Int.random(in: 0..<compressed.readableBytes, using: &random)
                compressed.setInteger(UInt8.random(in: 0...255, using: &random), at: index)
            }
            for payload in [compressed, noise(bytes: Int.random(in: 0...300, using: &random), using: &random)] {
                guard let message = try? inflater.inflate(payload, bytesMax: 1000) else { continue }
                #expect(message.readableBytes <= 1000)
            }
        }
    }
}
