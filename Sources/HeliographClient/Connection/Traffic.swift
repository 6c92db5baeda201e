import MeshCore
import NIOCore
import Synchronization

/// What the event loop of a connection and the client's clock share.
final class Traffic: Sendable {
    private let receivedAt = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)
    private let sentAt = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)
    private let waiting = Atomic<Int>(0)

    var lastReceived: Instant { Instant(nanoseconds: receivedAt.load(ordering: .relaxed)) }
    var lastSent: Instant { Instant(nanoseconds: sentAt.load(ordering: .relaxed)) }
    /// Bytes of frames that have not been handed to the kernel yet.
    var waitingBytes: Int { waiting.load(ordering: .relaxed) }

    func received() { receivedAt.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }

    func sending(_ bytes: Int) {
        sentAt.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
        waiting.add(bytes, ordering: .relaxed)
    }

    func sent(_ bytes: Int) { waiting.subtract(bytes, ordering: .relaxed) }
}
