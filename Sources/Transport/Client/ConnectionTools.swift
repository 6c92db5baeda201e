import NIOCore
import Wire

/// What a cell measures about its sends.
public final class SendMeter {
    public internal(set) var sends: UInt64 = 0
    public internal(set) var bytes: UInt64 = 0
    public internal(set) var partialSends: UInt64 = 0
    public init() {}
}

/// What the connections of one cell share, so that an idle one owns as little as can be. Lives on the cell's event loop.
public final class ConnectionTools {
    public let meter = SendMeter()
    let inflater = WebSocketInflater()
    /// What connections read into; see `SharedReads`.
    let readBuffer: NIOLoopBoundBox<ByteBuffer?>

    private let loop: any EventLoop
    private var deflaters: [Int: WebSocketDeflater] = [:]
    private var buffers: [ByteBuffer] = []
    /// Every HTTP/2 connection of the cell.
    private var multiplexers: [ObjectIdentifier: HTTP2Connection] = [:]
    private var unpumped: [HTTP2Connection] = []
    /// Whether somebody will call `pump` without being asked.
    private var isPumpDue = false

    private static let buffersMax = 64
    private static let bufferBytesMax = 256 << 10

    public init(loop: any EventLoop) {
        self.loop = loop
        readBuffer = .makeEmptyBox(valueType: ByteBuffer.self, eventLoop: loop)
    }

    /// HTTP/2 connections that are open.
    public var multiplexerCount: Int { multiplexers.count }

    /// One for each window: without context takeover all connections can share it.
    public func deflater(for format: FrameFormat) -> WebSocketDeflater? {
        guard case .webSocket(let windowBits?) = format.framing else { return nil }
        if let deflater = deflaters[windowBits] { return deflater }
        let deflater = WebSocketDeflater(windowBits: windowBits)
        deflaters[windowBits] = deflater
        return deflater
    }

    // MARK: Buffers

    /// An empty buffer with storage, for bytes that are gone again within the tick.
    func takeBuffer() -> ByteBuffer {
        guard var buffer = buffers.popLast() else { return ByteBuffer() }
        // Only now: as long as whoever gave it back still held it, this would have made a new one.
        buffer.clear()
        return buffer
    }

    func giveBack(_ buffer: ByteBuffer) {
        guard buffers.count < Self.buffersMax, (1...Self.bufferBytesMax).contains(buffer.capacity) else { return }
        buffers.append(buffer)
    }

    // MARK: HTTP/2 connections

    func opened(_ connection: HTTP2Connection) { multiplexers[ObjectIdentifier(connection)] = connection }
    func closed(_ connection: HTTP2Connection) { multiplexers[ObjectIdentifier(connection)] = nil }

    /// Its streams have something to send. Many streams of a connection leave in one write.
    func queuePump(_ connection: HTTP2Connection) {
        unpumped.append(connection)
        guard !isPumpDue else { return }
        isPumpDue = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.pump() }
    }

    /// A tick has begun, at whose end `pump` is called.
    public func tickBegan() { isPumpDue = true }

    /// Writes what the streams of the tick have collected.
    public func pump() {
        isPumpDue = false
        while !unpumped.isEmpty {
            let connections = unpumped
            unpumped.removeAll(keepingCapacity: true)
            for connection in connections { connection.pump() }
        }
    }

    /// The node takes no more sessions: HTTP/2 clients are asked to open no more streams, and are gone when their last one has ended.
    public func drain() {
        for connection in Array(multiplexers.values) { connection.drain() }
    }
}
