import MeshCore
import NIOCore
import Testing

@testable import Wire

@Suite("Frames of an HTTP/2 stream")
struct StreamFramingTests {
    private func message(_ payload: String, compressed: UInt8 = 0) -> ByteBuffer {
        var buffer = ByteBuffer(integer: compressed)
        buffer.writeInteger(UInt32(payload.utf8.count))
        buffer.writeString(payload)
        return buffer
    }

    /// What comes out when the bytes come in the given pieces, what is left over, and what was wrong.
    private func cut(
        _ pieces: [ByteBuffer], _ encoding: FrameEncoding, frameBytesMax: Int = 100
    ) -> (frames: [ByteBuffer], rest: ByteBuffer, fault: StreamFraming.Fault?) {
        var framing = StreamFraming(encoding, frameBytesMax: frameBytesMax)
        var (frames, buffer): ([ByteBuffer], ByteBuffer) = ([], ByteBuffer())
        for var piece in pieces {
            buffer.writeBuffer(&piece)
            do throws(StreamFraming.Fault) {
                while let frame = try framing.next(&buffer) { frames.append(frame) }
            } catch {
                return (frames, buffer, error)
            }
        }
        return (frames, buffer, nil)
    }

    private func halves(_ bytes: ByteBuffer, at place: Int) -> [ByteBuffer] {
        [bytes.getSlice(at: 0, length: place), bytes.getSlice(at: place, length: bytes.readableBytes - place)].compactMap { $0 }
    }

    private func single(_ bytes: ByteBuffer) -> [ByteBuffer] { bytes.readableBytesView.map { ByteBuffer(integer: $0) } }

    @Test("lines, cut anywhere; blank ones are nobody's frame") func lines() {
        let bytes = ByteBuffer(string: "{\"a\":1}\n\n \r\n{\"b\":2}\r\n\t\nlast\nrest")
        let expected = ["{\"a\":1}", "{\"b\":2}\r", "last"].map { ByteBuffer(string: $0) }
        for place in 0...bytes.readableBytes {
            let (frames, rest, fault) = cut(halves(bytes, at: place), .json)
            #expect(frames == expected && rest == ByteBuffer(string: "rest") && fault == nil, "cut at \(place)")
        }
        #expect(cut(single(bytes), .json).frames == expected)
    }

    @Test("messages of gRPC, cut anywhere") func messages() {
        var bytes = ByteBuffer()
        let messages = ["hello", "", String(repeating: "x", count: 100)].map { message($0) }
        for var message in messages { bytes.writeBuffer(&message) }
        bytes.writeBytes([0, 0, 0])
        for place in 0...bytes.readableBytes {
            let (frames, rest, fault) = cut(halves(bytes, at: place), .grpc)
            #expect(frames == messages && rest == ByteBuffer(bytes: [0, 0, 0]) && fault == nil, "cut at \(place)")
        }
        #expect(cut(single(bytes), .grpc).frames == messages)
    }

    @Test("a line may be as long as the limit, and not one byte more, with or without its end") func longLines() {
        let fits = String(repeating: "x", count: 100)
        #expect(cut([ByteBuffer(string: fits)], .json).fault == nil)
        #expect(cut([ByteBuffer(string: fits + "\n")], .json).frames == [ByteBuffer(string: fits)])
        #expect(cut([ByteBuffer(string: fits + "x")], .json).fault == .tooLarge)
        #expect(cut([ByteBuffer(string: fits + "x\n")], .json).fault == .tooLarge)
        #expect(cut([ByteBuffer(string: fits + "\n" + fits + "\n")], .json).frames.count == 2)
    }

    @Test("a message above the limit is refused by its length, before it is there") func longMessages() {
        #expect(cut([ByteBuffer(bytes: [0, 0, 0, 0, 100])], .grpc).fault == nil)
        #expect(cut([ByteBuffer(bytes: [0, 0, 0, 0, 101])], .grpc).fault == .tooLarge)
        #expect(cut([ByteBuffer(bytes: [0, 0xFF, 0xFF, 0xFF, 0xFF])], .grpc).fault == .tooLarge)
        let good = message("good")
        let (frames, _, fault) = cut([good, ByteBuffer(bytes: [0, 0x7F, 0, 0, 0])], .grpc)
        #expect(frames == [good] && fault == .tooLarge, "what came before is not lost")
    }

    @Test("a message that says it is compressed", arguments: [1, 2, 255] as [UInt8]) func compressed(_ flag: UInt8) {
        #expect(cut([ByteBuffer(integer: flag)], .grpc).fault == .compressed)
    }

    @Test("the limit may change between frames") func limitChanges() throws {
        var framing = StreamFraming(.json, frameBytesMax: 100)
        var buffer = ByteBuffer(string: "0123456789\n0123456789\n")
        let first = try framing.next(&buffer)
        #expect(first?.readableBytes == 10)
        framing.frameBytesMax = 9
        #expect(throws: StreamFraming.Fault.tooLarge) { try framing.next(&buffer) }
    }
}

@Suite("Times and statuses of gRPC")
struct GRPCValueTests {
    static let timeouts: [(String, TimeSpan?)] = [
        ("1H", .seconds(3_600)), ("2M", .seconds(120)), ("3S", .seconds(3)), ("4m", .milliseconds(4)), ("5u", TimeSpan(nanoseconds: 5_000)),
        ("6n", TimeSpan(nanoseconds: 6)), ("0S", .zero), ("99999999S", .seconds(99_999_999)), ("99999999H", TimeSpan(nanoseconds: .max)),
        ("2562047H", .seconds(2_562_047 * 3_600)),
        ("00000001m", .milliseconds(1)),
        // Nine digits, no digits, no unit, and what is no number.
        ("999999999S", nil), ("S", nil), ("", nil), ("1", nil), ("10", nil), ("-1S", nil), ("+1S", nil), (" 1S", nil), ("1 S", nil),
        ("1.5S", nil),
        ("1s", nil), ("1h", nil), ("٣S", nil), ("1SS", nil), ("0x1S", nil),
    ]

    @Test("grpc-timeout", arguments: timeouts) func timeout(_ text: String, _ span: TimeSpan?) {
        #expect(GRPCTimeout.parse(text) == span)
    }

    // The protocol reference's table of close codes.
    static let statuses: [(UInt16, GRPCStatus)] = [
        (1000, .ok), (1001, .ok), (4000, .unavailable), (4001, .unavailable), (4002, .unavailable), (4003, .unavailable),
        (4004, .unauthenticated), (4006, .unavailable), (4499, .unavailable), (4500, .invalidArgument), (4501, .unauthenticated),
        (4502, .permissionDenied), (4503, .invalidArgument), (4504, .aborted), (4505, .resourceExhausted), (1002, .invalidArgument),
        (1003, .invalidArgument), (1007, .invalidArgument), (1009, .invalidArgument), (4999, .unknown), (0, .unknown),
    ]

    @Test("statuses of close codes", arguments: statuses) func status(_ code: UInt16, _ status: GRPCStatus) {
        #expect(GRPCStatus(closeCode: code) == status)
    }

    static let messages: [(String, String)] = [
        ("", ""), ("plain text!", "plain text!"), ("100%", "100%25"), ("a\nb", "a%0Ab"), ("ü", "%C3%BC"), ("\u{7F}~", "%7F~"),
        ("\u{0}", "%00"),
    ]

    @Test("grpc-message", arguments: messages) func message(_ text: String, _ encoded: String) {
        #expect(GRPCStatus.encoded(message: text) == encoded)
    }
}
