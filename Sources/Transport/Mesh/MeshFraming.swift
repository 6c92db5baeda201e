import NIOCore

/// Frames of one lane keep their order; a control frame overtakes tree frames that still wait in this process.
public enum LinkLane: UInt8, Sendable, CaseIterable {
    case control = 1
    case tree = 2
}

/// The frames of a link: a big-endian u32 with the length of what follows, one byte that names the lane, the payload.
public enum MeshFraming {
    /// Length and lane.
    public static let headerBytes = 5
    static let lengthBytes = 4
    /// The lane of hello, ping, pong and refuse, which never leave the link driver.
    static let internalLane: UInt8 = 0

    /// Appends one frame whose payload `write` appends. A frame is at most `LinkSettings.frameBytesMax` long; the writer
    /// sees to it, since the peer ends the link that carries a longer one.
    public static func append<Failure: Error>(
        _ lane: LinkLane, to buffer: inout ByteBuffer, write: (inout ByteBuffer) throws(Failure) -> Void
    ) throws(Failure) {
        try append(lane.rawValue, to: &buffer, write: write)
    }

    static func append<Failure: Error>(
        _ lane: UInt8, to buffer: inout ByteBuffer, write: (inout ByteBuffer) throws(Failure) -> Void
    ) throws(Failure) {
        let start = buffer.writerIndex
        buffer.writeInteger(UInt32(0))
        buffer.writeInteger(lane)
        do {
            try write(&buffer)
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
        buffer.setInteger(UInt32(buffer.writerIndex - start - lengthBytes), at: start)
    }

    /// Whether a buffer holds whole frames of one lane and nothing else.
    static func holds(_ lane: LinkLane, in buffer: ByteBuffer) -> Bool {
        var buffer = buffer
        while let length = buffer.readInteger(as: UInt32.self) {
            guard let byte = buffer.readInteger(as: UInt8.self), byte == lane.rawValue else { return false }
            guard buffer.readSlice(length: Int(length) - 1) != nil else { return false }
        }
        return buffer.readableBytes == 0
    }

    /// Takes whole frames from the front: as many as fit into `bytesMax`, and at least one.
    static func take(from buffer: inout ByteBuffer, bytesMax: Int) -> (frames: ByteBuffer, count: Int) {
        var end = buffer.readerIndex
        var count = 0
        while let length = buffer.getInteger(at: end, as: UInt32.self) {
            let next = end + lengthBytes + Int(length)
            if count > 0, next - buffer.readerIndex > bytesMax { break }
            end = next
            count += 1
        }
        let bytes = min(end, buffer.writerIndex) - buffer.readerIndex
        return (buffer.readSlice(length: bytes) ?? ByteBuffer(), count)
    }
}

/// Cuts what a peer sent into frames, wherever the reads happened to end. Holds at most one frame that is not whole yet.
struct MeshFrameDecoder {
    enum Fault: Error, Hashable {
        case empty
        case tooLarge(bytes: Int)
    }

    struct Frame: Equatable {
        var lane: UInt8
        var payload: ByteBuffer
    }

    var frameBytesMax: Int
    private var partial = ByteBuffer()

    init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    /// The next whole frame, nil when more bytes are needed. `input` is used up before nil is answered.
    mutating func next(_ input: inout ByteBuffer) throws(Fault) -> Frame? {
        if partial.readableBytes > 0 { return try completePartial(&input) }
        guard let length = try checkedLength(of: input) else {
            partial = ByteBuffer(buffer: input)
            input.moveReaderIndex(to: input.writerIndex)
            return nil
        }
        let frameBytes = MeshFraming.lengthBytes + length
        guard let frame = input.readSlice(length: frameBytes) else {
            startPartial(&input, frameBytes: frameBytes)
            return nil
        }
        return Self.split(frame)
    }

    private mutating func startPartial(_ input: inout ByteBuffer, frameBytes: Int) {
        partial = ByteBufferAllocator().buffer(capacity: min(frameBytes, max(64 << 10, input.readableBytes)))
        partial.writeBuffer(&input)
    }

    private mutating func completePartial(_ input: inout ByteBuffer) throws(Fault) -> Frame? {
        move(upTo: MeshFraming.lengthBytes, from: &input)
        guard let length = try checkedLength(of: partial) else { return nil }
        let frameBytes = MeshFraming.lengthBytes + length
        move(upTo: frameBytes, from: &input)
        guard partial.readableBytes == frameBytes else { return nil }
        defer { partial = ByteBuffer() }
        return Self.split(partial)
    }

    private mutating func move(upTo bytes: Int, from input: inout ByteBuffer) {
        let missing = min(bytes - partial.readableBytes, input.readableBytes)
        guard missing > 0, var part = input.readSlice(length: missing) else { return }
        partial.writeBuffer(&part)
    }

    private func checkedLength(of buffer: ByteBuffer) throws(Fault) -> Int? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return nil }
        guard length > 0 else { throw .empty }
        guard Int(length) <= frameBytesMax else { throw .tooLarge(bytes: Int(length)) }
        return Int(length)
    }

    private static func split(_ frame: ByteBuffer) -> Frame? {
        var frame = frame
        frame.moveReaderIndex(forwardBy: MeshFraming.lengthBytes)
        guard let lane = frame.readInteger(as: UInt8.self) else { return nil }
        return Frame(lane: lane, payload: frame)
    }
}
