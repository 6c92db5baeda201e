import NIOCore
import Testing

@testable import Transport

@Suite("Mesh links: frames")
struct MeshFramingTests {
    private let payloads = ["", "a", String(repeating: "b", count: 300), "", "cc"]

    private func stream() -> ByteBuffer {
        var buffer = ByteBuffer()
        for payload in payloads { MeshFraming.append(.tree, to: &buffer) { $0.writeString(payload) } }
        return buffer
    }

    private func decode(_ pieces: [ByteBuffer], bytesMax: Int = 1000) throws -> [String] {
        var decoder = MeshFrameDecoder(frameBytesMax: bytesMax)
        var texts: [String] = []
        for piece in pieces {
            var piece = piece
            while let frame = try decoder.next(&piece) {
                #expect(frame.lane == LinkLane.tree.rawValue)
                texts.append(String(buffer: frame.payload))
            }
            #expect(piece.readableBytes == 0)
        }
        return texts
    }

    @Test("a stream that is cut once, at any byte, gives the same frames")
    func cutOnce() throws {
        let whole = stream()
        for cut in 0...whole.readableBytes {
            var rest = whole
            let head = rest.readSlice(length: cut)
            #expect(try decode([#require(head), rest]) == payloads, "cut at \(cut)")
        }
    }

    @Test("a stream that comes in pieces of any size gives the same frames", arguments: 1...12)
    func pieces(_ bytes: Int) throws {
        var rest = stream()
        var pieces: [ByteBuffer] = []
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(bytes, rest.readableBytes)) { pieces.append(piece) }
        #expect(try decode(pieces) == payloads)
    }

    @Test("the length is judged as soon as it is known, before any byte of the frame is held")
    func tooLarge() {
        #expect(throws: MeshFrameDecoder.Fault.tooLarge(bytes: 301)) { try decode([stream()], bytesMax: 300) }
        #expect(throws: MeshFrameDecoder.Fault.tooLarge(bytes: 0xFFFF_FFFF)) {
            try decode([ByteBuffer(bytes: [0xFF, 0xFF]), ByteBuffer(bytes: [0xFF, 0xFF])])
        }
        #expect(throws: MeshFrameDecoder.Fault.empty) { try decode([ByteBuffer(bytes: [0, 0, 0, 0])]) }
    }

    @Test("a payload that cannot be written leaves the buffer as it was")
    func failedWrite() {
        struct Failed: Error {}
        var buffer = stream()
        let before = buffer
        #expect(throws: Failed.self) {
            try MeshFraming.append(.control, to: &buffer) { buffer throws(Failed) in
                buffer.writeString("half")
                throw Failed()
            }
        }
        #expect(buffer == before)
    }

    @Test("whole frames are taken from the front, at least one, and no more than fit")
    func take() {
        var buffer = stream()
        let sizes = payloads.map { $0.utf8.count + MeshFraming.headerBytes }
        let first = MeshFraming.take(from: &buffer, bytesMax: 1)
        #expect(first.count == 1)
        let two = MeshFraming.take(from: &buffer, bytesMax: sizes[1] + sizes[2])
        #expect(two.count == 2)
        let rest = MeshFraming.take(from: &buffer, bytesMax: 10_000)
        #expect(rest.count == 2)
        #expect(rest.frames.readableBytes == sizes[3] + sizes[4])
        #expect(buffer.readableBytes == 0)
    }

    @Test("a buffer holds frames of its lane only when it does")
    func holds() {
        #expect(MeshFraming.holds(.tree, in: stream()))
        #expect(!MeshFraming.holds(.control, in: stream()))
        #expect(!MeshFraming.holds(.tree, in: ByteBuffer(string: "no frame at all")))
        #expect(!MeshFraming.holds(.tree, in: ByteBuffer(bytes: [0, 0, 0])))
    }

    @Test("the queue: urgent, then control, then tree; small buffers leave together, long ones at frame borders")
    func queueOrder() throws {
        var queue = LinkQueue()
        var long = ByteBuffer()
        for _ in 0..<10 { MeshFraming.append(.tree, to: &long) { $0.writeRepeatingByte(1, count: 20_000) } }
        queue.append(long, lane: .tree)
        queue.append(frame("tree"), lane: .tree)
        queue.append(frame("control", .control), lane: .control)
        queue.appendUrgent(frame("urgent", .control))
        let next = queue.next()
        let first = try #require(next)
        #expect(first.frames == 2)
        #expect(String(buffer: first.bytes).contains("urgent"))
        var frames = 0
        while let chunk = queue.next() {
            #expect(chunk.bytes.readableBytes <= LinkQueue.chunkBytesMax)
            #expect(MeshFraming.holds(.tree, in: chunk.bytes))
            frames += chunk.frames
        }
        #expect(frames == 11)
        #expect(queue.isEmpty)
    }

    @Test("the outbox takes bytes up to its bound, wakes the driver once, and never opens again")
    func outboxBound() {
        let outbox = LinkOutbox(bytesMax: 20)
        #expect(outbox.offer(ByteBuffer(string: "0123456789"), lane: .tree) == .queued(wakeDriver: true))
        #expect(outbox.offer(ByteBuffer(string: "0123456789"), lane: .control) == .queued(wakeDriver: false))
        #expect(!outbox.reserve(1))
        #expect(outbox.offer(ByteBuffer(string: "x"), lane: .tree) == .full)
        var queue = LinkQueue()
        outbox.fetch(into: &queue)
        outbox.sent(bytes: 20, frames: 2)
        #expect(outbox.figures.queuedBytes == 0)
        #expect(outbox.figures.bytesOut == 20)
        #expect(outbox.offer(ByteBuffer(string: "x"), lane: .tree) == .closed)
    }
}
