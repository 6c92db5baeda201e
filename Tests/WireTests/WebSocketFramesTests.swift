import NIOCore
import Testing

@testable import Wire

@Suite struct WebSocketFramesTests {
    @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) func sealedBatchEqualsAWholeFrame(size: Int) {
        let payload = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        var expected = ByteBuffer(string: "before")
        WebSocketFrames.append(.binary, payload, to: &expected)

        var batch = ByteBuffer(string: "xbefore")
        batch.moveReaderIndex(forwardBy: 1)
        let start = WebSocketBatch.reserveHeader(in: &batch)
        batch.writeImmutableBuffer(payload)
        WebSocketBatch.sealFrame(in: &batch, start: start, opcode: .binary)
        #expect(batch == expected)
    }

    @Test(arguments: 0...40) func maskingTwiceIsNothingAndMatchesByteByByte(size: Int) {
        let key: UInt32 = 0xA1B2_C3D4
        let original = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let keyBytes = (0..<4).map { UInt8(truncatingIfNeeded: key >> (8 * UInt32($0))) }
        var masked = original
        masked.withUnsafeMutableBytes { applyMask(key, to: $0) }
        #expect(masked == original.enumerated().map { $1 ^ keyBytes[$0 % 4] })
        masked.withUnsafeMutableBytes { applyMask(key, to: $0) }
        #expect(masked == original)
    }

    @Test func utf8AgreesWithTheStandardLibraryOnAllShortSequences() {
        let interesting: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
            0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        for a in interesting {
            for b in interesting {
                for c in interesting {
                    for d in interesting {
                        let bytes = [a, b, c, d]
                        let expected = String(validating: bytes, as: UTF8.self) != nil
                        #expect(bytes.withUnsafeBytes(isValidUTF8) == expected, "\(bytes)")
                    }
                }
            }
        }
    }

    // RFC 6455, section 1.3.
    @Test func acceptKeyOfTheStandard() {
        #expect(WebSocketHandshake.acceptKey(for: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    // FIPS 180-4 examples.
    @Test func sha1OfTheStandard() {
        func hex(_ text: String) -> String {
            SHA1.digest(Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        #expect(hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
    }

    @Test func handshakeHeads() throws {
        var buffer = ByteBuffer()
        WebSocketHandshake.appendResponse(key: "dGhlIHNhbXBsZSBub25jZQ==", subprotocol: "heliograph.v1.json", to: &buffer)
        let full = buffer
        for length in 0..<full.readableBytes {
            var part = full.getSlice(at: 0, length: length) ?? ByteBuffer()
            #expect(try HandshakeHead.take(from: &part, bytesMax: 1000) == nil)
        }
        buffer.writeString("rest")
        let head = try #require(try HandshakeHead.take(from: &buffer, bytesMax: 1000))
        #expect(head.statusCode == 101)
        #expect(head.value("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(head.value("sec-websocket-protocol") == "heliograph.v1.json")
        #expect(String(buffer: buffer) == "rest")
        var long = ByteBuffer(repeating: 65, count: 1001)
        #expect(throws: HandshakeHead.Fault.tooLarge) { try HandshakeHead.take(from: &long, bytesMax: 1000) }
        var bad = ByteBuffer(string: "GET / HTTP/1.1\r\nno colon\r\n\r\n")
        #expect(throws: HandshakeHead.Fault.malformed) { try HandshakeHead.take(from: &bad, bytesMax: 1000) }
    }
}
