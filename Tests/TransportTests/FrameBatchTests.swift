import MeshCore
import NIOCore
import Testing
import Wire

@testable import Transport

@Suite("Frames collected for a send")
struct FrameBatchTests {
    private func batch(_ encoding: FrameEncoding, _ framing: FrameFormat.Framing, _ messages: [String]) -> FrameBatch {
        var batch = FrameBatch(FrameFormat(encoding, framing), deflater: nil)
        for message in messages { batch.append { $0.writeString(message) } }
        return batch
    }

    private func text(_ batch: inout FrameBatch) -> String { String(buffer: batch.take()) }

    // MARK: Framings

    @Test("on a stream frames stand as they are, each line with its end") func streams() {
        var lines = batch(.json, .stream, ["a", "b"])
        #expect(lines.sealedBytes == 4 && text(&lines) == "a\nb\n" && lines.isEmpty)
        var messages = batch(.grpc, .stream, ["a", "b"])
        #expect(text(&messages) == "ab", "gRPC's messages bring their own length")
    }

    @Test("on a WebSocket they share a frame until it is sealed") func webSocket() {
        var lines = batch(.json, .webSocket(windowBits: nil), ["a", "b"])
        #expect(lines.sealedBytes == 0 && lines.bytes > 0)
        lines.seal()
        #expect(lines.sealedBytes == lines.bytes)
        lines.append { $0.writeString("c") }
        #expect(messages(lines.take()) == ["a\nb", "c"])
        var binary = batch(.protobuf, .webSocket(windowBits: nil), ["a", "b"])
        #expect(messages(binary.take()) == ["ab"])
    }

    @Test("a large frame is sealed by itself") func goal() {
        let text = String(repeating: "x", count: 200 << 10)
        var batch = batch(.json, .webSocket(windowBits: nil), [text, text, "end"])
        #expect(batch.sealedBytes > FrameBatch.framePayloadGoal)
        #expect(messages(batch.take()) == [text + "\n" + text, "end"])
    }

    @Test("a control frame stands between messages, not in one") func control() {
        var batch = batch(.json, .webSocket(windowBits: nil), ["a"])
        batch.appendControl { WebSocketFrames.appendPing(to: &$0) }
        batch.append { $0.writeString("b") }
        #expect(messages(batch.take()) == ["a", "ping", "b"])
    }

    private func messages(_ bytes: ByteBuffer) -> [String] {
        var (bytes, parser) = (bytes, WebSocketParser(role: .client, messageBytesMax: 1 << 20))
        var found: [String] = []
        while let event = parser.next(&bytes) {
            switch event {
            case .text(let payload), .binary(let payload): found.append(String(buffer: payload))
            case .ping: found.append("ping")
            default: found.append("\(event)")
            }
        }
        return found
    }

    // MARK: Piece by piece

    /// Three frames of 3, 4 and 5 bytes, each of which may be the last.
    private func three() -> FrameBatch {
        var batch = FrameBatch(FrameFormat(.json, .stream), deflater: nil)
        for text in ["aa", "bbb", "cccc"] {
            batch.append { $0.writeString(text) }
            batch.markEnd()
        }
        return batch
    }

    private static let whole = "aa\nbbb\ncccc\n"

    @Test("taken in any two pieces, it is the same") func pieces() {
        for first in 0...Self.whole.utf8.count {
            var (batch, taken) = (three(), ByteBuffer())
            batch.take(first, into: &taken)
            batch.take(batch.bytes, into: &taken)
            #expect(String(buffer: taken) == Self.whole && batch.isEmpty)
        }
    }

    @Test("what is forgotten leaves no half of a frame behind, wherever it was cut", arguments: 0...12) func forget(_ first: Int) {
        var (batch, taken) = (three(), ByteBuffer())
        batch.take(first, into: &taken)
        batch.forget()
        batch.append { $0.writeString("goodbye") }
        batch.markEnd()
        batch.take(batch.bytes, into: &taken)
        let ends = [0, 3, 7, 12]
        let kept = ends.first { $0 >= first } ?? 0
        #expect(String(buffer: taken) == Self.whole.prefix(kept) + "goodbye\n")
    }

    @Test("forgotten twice, with a cut in what was kept") func forgetAgain() {
        var (batch, taken) = (three(), ByteBuffer())
        batch.take(4, into: &taken)
        batch.forget()
        batch.take(1, into: &taken)
        batch.forget()
        batch.append { $0.writeString("d") }
        batch.take(batch.bytes, into: &taken)
        #expect(String(buffer: taken) == "aa\nbbb\nd\n")
    }

    @Test("the rest of what was sent past the batch is not forgotten") func rest() {
        var (batch, taken) = (FrameBatch(FrameFormat(.json, .stream), deflater: nil), ByteBuffer())
        "bb\n".withRawBytes { batch.append(rest: $0) }
        batch.append { $0.writeString("cc") }
        batch.markEnd()
        batch.forget()
        batch.append { $0.writeString("d") }
        batch.take(batch.bytes, into: &taken)
        #expect(String(buffer: taken) == "bb\nd\n")
    }

    @Test("every cut of random frames, forgotten at a random place") func random() {
        let seed = UInt64.random(in: 0...(.max))
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            var batch = FrameBatch(FrameFormat(.json, .stream), deflater: nil)
            var (taken, whole, ends) = (ByteBuffer(), "", [0])
            for n in 0..<Int(random.next() % 6) {
                let frame = String(repeating: "\(n)", count: Int(random.next() % 8))
                batch.append { $0.writeString(frame) }
                batch.markEnd()
                whole += frame + "\n"
                ends.append(whole.utf8.count)
            }
            while batch.bytes > 0, random.next() % 4 != 0 { batch.take(1 + Int(random.next() % UInt64(batch.bytes)), into: &taken) }
            let kept = ends.first { $0 >= taken.readableBytes } ?? 0
            batch.forget()
            batch.take(batch.bytes, into: &taken)
            #expect(String(buffer: taken) == whole.prefix(kept), "seed \(seed)")
        }
    }
}

extension String {
    fileprivate func withRawBytes(_ body: (UnsafeRawBufferPointer) -> Void) { Array(utf8).withUnsafeBytes(body) }
}
