import DequeModule
import Membership
import MeshCore
import NIOCore
import Synchronization

/// What a link has measured since it came up.
public struct LinkFigures: Hashable, Sendable {
    public var framesIn: UInt64 = 0
    public var framesOut: UInt64 = 0
    public var bytesIn: UInt64 = 0
    public var bytesOut: UInt64 = 0
    /// Bytes that wait in this process for the kernel to take them.
    public var queuedBytes = 0
    public var roundTrip = RoundTrip()

    public init() {}
}

/// What senders of all event loops leave for one link. The driver fetches everything once a tick; the bytes count as
/// queued until the kernel has them.
final class LinkOutbox: Sendable {
    enum Offer: Hashable {
        /// The driver must be woken for the first buffer of a tick.
        case queued(wakeDriver: Bool)
        /// The bound is reached. The outbox is closed from now on.
        case full
        case closed
    }

    private struct State {
        var arrived: [(buffer: ByteBuffer, lane: LinkLane)] = []
        var isClosed = false
        var figures = LinkFigures()
    }

    let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    var figures: LinkFigures { state.withLock { $0.figures } }

    func offer(_ buffer: ByteBuffer, lane: LinkLane) -> Offer {
        state.withLock { state in
            guard !state.isClosed else { return .closed }
            guard state.figures.queuedBytes + buffer.readableBytes <= bytesMax else {
                state.isClosed = true
                return .full
            }
            state.figures.queuedBytes += buffer.readableBytes
            state.arrived.append((buffer, lane))
            return .queued(wakeDriver: state.arrived.count == 1)
        }
    }

    /// Counts a frame of the driver's own, which does not pass through here. False at the bound.
    func reserve(_ bytes: Int) -> Bool {
        state.withLock { state in
            guard state.figures.queuedBytes + bytes <= bytesMax else { return false }
            state.figures.queuedBytes += bytes
            return true
        }
    }

    func fetch(into queue: inout LinkQueue) {
        let arrived = state.withLock { state in
            let arrived = state.arrived
            state.arrived = []
            return arrived
        }
        for (buffer, lane) in arrived { queue.append(buffer, lane: lane) }
    }

    func sent(bytes: Int, frames: Int) {
        state.withLock { state in
            state.figures.queuedBytes -= bytes
            state.figures.bytesOut += UInt64(bytes)
            state.figures.framesOut += UInt64(frames)
        }
    }

    func received(bytes: Int, frames: Int) {
        state.withLock { state in
            state.figures.bytesIn += UInt64(bytes)
            state.figures.framesIn += UInt64(frames)
        }
    }

    func measured(_ roundTrip: RoundTrip) {
        state.withLock { $0.figures.roundTrip = roundTrip }
    }

    /// No offer is taken from now on. What was taken stays to be fetched.
    func close() {
        state.withLock { $0.isClosed = true }
    }

    /// The link is gone with all that waited for it.
    func discard() {
        state.withLock { state in
            state.isClosed = true
            state.arrived = []
            state.figures.queuedBytes = 0
        }
    }
}

/// The driver's side of the outbox: the frames that wait, by lane, and which go next.
struct LinkQueue {
    struct Chunk {
        var bytes: ByteBuffer
        var frames: Int
    }

    /// Buffers below this are copied together, so that many small frames leave in one write.
    static let copyBelowBytes = 16 << 10
    static let chunkBytesMax = 64 << 10

    private var urgent = Deque<ByteBuffer>()
    private var control = Deque<ByteBuffer>()
    private var tree = Deque<ByteBuffer>()

    var isEmpty: Bool { urgent.isEmpty && control.isEmpty && tree.isEmpty }

    mutating func append(_ buffer: ByteBuffer, lane: LinkLane) {
        switch lane {
        case .control: control.append(buffer)
        case .tree: tree.append(buffer)
        }
    }

    /// The link's own frames go before all others.
    mutating func appendUrgent(_ buffer: ByteBuffer) { urgent.append(buffer) }

    /// The next write: whole frames, control before tree.
    mutating func next() -> Chunk? {
        guard var chunk = nextPiece(below: Int.max) else { return nil }
        guard chunk.bytes.readableBytes < Self.copyBelowBytes, !isEmpty else { return chunk }
        var isOwned = false
        while chunk.bytes.readableBytes < Self.chunkBytesMax, let piece = nextPiece(below: Self.copyBelowBytes) {
            if !isOwned { chunk.bytes = Self.copy(chunk.bytes) }
            isOwned = true
            chunk.bytes.writeImmutableBuffer(piece.bytes)
            chunk.frames += piece.frames
        }
        return chunk
    }

    private static func copy(_ bytes: ByteBuffer) -> ByteBuffer {
        var copy = ByteBufferAllocator().buffer(capacity: copyBelowBytes * 2)
        copy.writeImmutableBuffer(bytes)
        return copy
    }

    private mutating func nextPiece(below bytes: Int) -> Chunk? {
        if !urgent.isEmpty { return Self.take(from: &urgent, below: bytes) }
        if !control.isEmpty { return Self.take(from: &control, below: bytes) }
        return Self.take(from: &tree, below: bytes)
    }

    private static func take(from lane: inout Deque<ByteBuffer>, below bytes: Int) -> Chunk? {
        guard let first = lane.first, first.readableBytes < bytes else { return nil }
        let (frames, count) = MeshFraming.take(from: &lane[0], bytesMax: chunkBytesMax)
        if lane[0].readableBytes == 0 { lane.removeFirst() }
        return Chunk(bytes: frames, frames: count)
    }
}
