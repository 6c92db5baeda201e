import NIOCore

/// Has all connections of a cell read into one buffer. NIO would keep a buffer of 2 KB or more for each connection, for as long as it lives.
///
/// NIO keeps what it is given for the first read of a connection: that is as small as can be. What it is given for a later read it keeps only if
/// it may read more than once at a time: it may at first, so that the rest of a request is read with its beginning, and not after that.
///
/// The bytes belong to the cell: whoever keeps some of them copies what it keeps.
struct SharedReads: RecvByteBufferAllocator {
    /// The channel's `maxMessagesPerRead`, until something was read and then.
    static let firstReadsAtOnce: UInt = 2
    static let laterReadsAtOnce: UInt = 1
    private static let firstReadBytes = 16
    private static let readBytes = 64 << 10

    /// Nil while a connection reads.
    private let shared: NIOLoopBoundBox<ByteBuffer?>
    private var hasRead = false

    init(_ shared: NIOLoopBoundBox<ByteBuffer?>) { self.shared = shared }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard hasRead else { return allocator.buffer(capacity: Self.firstReadBytes) }
        guard var buffer = shared.value else { return allocator.buffer(capacity: Self.readBytes) }
        shared.value = nil
        // Makes a new one if somebody has kept it.
        buffer.clear()
        return buffer
    }

    /// NIO asks for a buffer every time if the next one may be larger, and that it is, after the first.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }

    /// A read is over.
    static func giveBack(_ buffer: ByteBuffer, to shared: NIOLoopBoundBox<ByteBuffer?>) {
        if buffer.capacity >= readBytes { shared.value = buffer }
    }
}
