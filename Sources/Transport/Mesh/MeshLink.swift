import Membership
import MeshCore
import NIOCore

/// One link that is up. Frames of one lane arrive in the order in which they were sent, without a hole, as long as it is;
/// what was under way when it ended may or may not have arrived.
public final class MeshLink: Sendable {
    /// Tells links of the same peer apart; never used twice in one process.
    public let number: LinkNumber
    public let peer: NodeBoot
    private let outbox: LinkOutbox
    private let driver: NIOLoopBound<MeshLinkHandler>

    init(number: LinkNumber, peer: NodeBoot, outbox: LinkOutbox, driver: NIOLoopBound<MeshLinkHandler>) {
        self.number = number
        self.peer = peer
        self.outbox = outbox
        self.driver = driver
    }

    /// Sends whole frames made with `MeshFraming.append`, all of one lane. Callable from any thread; buffers of one caller
    /// keep their order. They leave with everything else that was sent in the same tick.
    ///
    /// - Returns: false when the link is down, or goes down by this call because more than `queueBytesMax` bytes wait.
    @discardableResult
    public func send(_ frames: ByteBuffer, lane: LinkLane) -> Bool {
        assert(MeshFraming.holds(lane, in: frames), "not whole frames of the lane \(lane)")
        guard frames.readableBytes > 0 else { return true }
        switch outbox.offer(frames, lane: lane) {
        case .queued(let wakeDriver):
            if wakeDriver { driver.eventLoop.execute { [driver] in driver.value.outboxFilled() } }
            return true
        case .full:
            driver.eventLoop.execute { [driver] in driver.value.outboxOverflowed() }
            return false
        case .closed:
            return false
        }
    }

    /// Callable from any thread.
    public var figures: LinkFigures { outbox.figures }
}
