import NIOCore
import NIOPosix
import Testing

@testable import Transport

/// As NIO's channels read: each with a pool of its own, all of one cell.
@Suite("Reads into a buffer of the cell")
struct SharedReadsTests {
    private typealias Shared = NIOLoopBoundBox<ByteBuffer?>

    private final class Reader {
        private let shared: Shared
        private var pool: NIOPooledRecvBufferAllocator

        init(_ shared: Shared) {
            self.shared = shared
            pool = NIOPooledRecvBufferAllocator(capacity: Int(SharedReads.firstReadsAtOnce), recvAllocator: SharedReads(shared))
        }

        /// The bytes that fit, where they are, and how much else would have fitted.
        func read(_ text: String, keeping: Bool = false) -> (bytes: ByteBuffer, place: UInt, capacity: Int) {
            let (buffer, count) = pool.buffer(allocator: ByteBufferAllocator()) { buffer in
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { bytes in
                    bytes.copyBytes(from: text.utf8.prefix(bytes.count))
                    return min(bytes.count, text.utf8.count)
                }
            }
            pool.record(actualReadBytes: count)
            pool.updateCapacity(to: Int(SharedReads.laterReadsAtOnce))
            SharedReads.giveBack(buffer, to: shared)
            let place = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
            return (keeping ? buffer : ByteBuffer(buffer: buffer), place, buffer.capacity)
        }

        var buffersKept: Int { pool.count }
    }

    private func onLoop(_ body: @escaping @Sendable (Shared) throws -> Void) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        try await loop.submit { try body(.makeEmptyBox(valueType: ByteBuffer.self, eventLoop: loop)) }.get()
    }

    @Test("a connection keeps its first, small buffer; later reads share one") func shared() async throws {
        try await onLoop { shared in
            let readers = (0..<3).map { _ in Reader(shared) }
            for reader in readers {
                let first = reader.read("GET /v1/ws HTTP/1.1")
                #expect(String(buffer: first.bytes) == "GET /v1/ws HTTP/" && first.capacity == 16)
            }
            let later = (0..<4).flatMap { round in readers.map { $0.read("message \(round)") } }
            #expect(Set(later.map(\.place)).count == 1)
            #expect(later.allSatisfy { $0.capacity >= 64 << 10 })
            #expect(later.map { String(buffer: $0.bytes) } == (0..<4).flatMap { Array(repeating: "message \($0)", count: 3) })
            #expect(readers.allSatisfy { $0.buffersKept == 1 })
        }
    }

    @Test("bytes that somebody keeps are not written over") func kept() async throws {
        try await onLoop { shared in
            let (one, other) = (Reader(shared), Reader(shared))
            for reader in [one, other] { _ = reader.read("first") }
            let kept = one.read("kept", keeping: true)
            let next = other.read("next")
            #expect(String(buffer: kept.bytes) == "kept" && String(buffer: next.bytes) == "next")
            #expect(kept.place != next.place)
            #expect(one.read("again").place == next.place, "the new one is shared from then on")
        }
    }
}
