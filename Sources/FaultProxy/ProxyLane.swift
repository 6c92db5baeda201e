import MeshCore
import NIOCore

/// One direction of one connection: reads from one end what it may, holds it for as long as the fault says, and writes it to the other.
final class ProxyLane {
    /// Read and not yet passed on. Above it the kernel's buffers fill, and the sender waits.
    static let queueBytesMax = 1 << 20

    private enum Item {
        case bytes(ByteBuffer)
        case end
    }

    private let loop: any EventLoop
    /// Who sends. It reads only when told to.
    var source: (any Channel)? { didSet { move() } }
    var sink: (any Channel)?
    var condition: LaneCondition { didSet { move() } }
    private var queue = CircularBuffer<(item: Item, due: NIODeadline)>()
    private var queuedBytes = 0
    private var isReading = false
    private var hasEnded = false
    private var wakeUp: Scheduled<Void>?

    init(loop: any EventLoop, _ condition: LaneCondition) {
        self.loop = loop
        self.condition = condition
    }

    // MARK: What the sender's end reports

    func received(_ bytes: ByteBuffer) {
        queuedBytes += bytes.readableBytes
        queue.append((.bytes(bytes), due))
        move()
    }

    func readCompleted() {
        isReading = false
        move()
    }

    /// The sender is gone. The receiver learns of it behind all that was sent before, and not while nothing arrives.
    func ended() {
        guard !hasEnded else { return }
        hasEnded = true
        queue.append((.end, due))
        move()
    }

    private var due: NIODeadline { .now() + .nanoseconds(condition.delay.nanoseconds) }

    // MARK: Passing on

    /// Does what can be done now.
    func move() {
        guard !condition.isSilent else { return }
        passOn()
        guard let source, sink != nil, !hasEnded, !isReading, queuedBytes < Self.queueBytesMax else { return }
        isReading = true
        source.read()
    }

    private func passOn() {
        guard let sink else { return }
        var wrote = false
        while let (item, due) = queue.first, sink.isWritable || !sink.isActive {
            guard due <= .now() else {
                wake(at: due)
                break
            }
            queue.removeFirst()
            switch item {
            case .bytes(let bytes):
                queuedBytes -= bytes.readableBytes
                sink.write(bytes, promise: nil)
                wrote = true
            case .end:
                end(sink)
            }
        }
        if wrote { sink.flush() }
    }

    /// Behind what was written before.
    private func end(_ sink: any Channel) {
        let bound = NIOLoopBound(sink, eventLoop: loop)
        sink.writeAndFlush(ByteBuffer()).whenComplete { _ in bound.value.close(promise: nil) }
    }

    private func wake(at due: NIODeadline) {
        guard wakeUp == nil else { return }
        wakeUp = loop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            self?.wakeUp = nil
            self?.move()
        }
    }
}

/// One end of a connection: hands what it hears to a lane, and lets the other lane go on when it can be written to.
final class ProxyEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let incoming: ProxyLane
    private let outgoing: ProxyLane

    init(incoming: ProxyLane, outgoing: ProxyLane) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { incoming.received(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { incoming.readCompleted() }
    func channelInactive(context: ChannelHandlerContext) { incoming.ended() }
    func channelWritabilityChanged(context: ChannelHandlerContext) { outgoing.move() }
    /// A reset is an end like any other.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
