import MeshCore
import NIOCore
import Wire

/// One transport to one relay, from its opening to its end. Frames go in and out; what they mean is the client's business.
final class ClientConnection: Sendable {
    /// Bytes of frames that may wait for a relay that does not read; a frame that would go beyond is refused with `tooManyRequests`.
    static let outboundBytesMax = 16 << 20
    /// Less than this waits: there is room for what may as well be left out.
    private static let roomyBytesMax = 64 << 10
    /// How long the relay may take to end what we have ended.
    private static let closeTimeout = TimeAmount.seconds(2)

    /// Fulfilled once, never failed: why the connection ended.
    let closed: EventLoopFuture<DisconnectCause>
    private let channel: any Channel
    private let encoding: FrameEncoding
    private let traffic: Traffic

    init(channel: any Channel, encoding: FrameEncoding, traffic: Traffic, closed: EventLoopFuture<DisconnectCause>) {
        self.channel = channel
        self.encoding = encoding
        self.traffic = traffic
        self.closed = closed
    }

    /// When bytes last came from the relay.
    var lastReceived: Instant { traffic.lastReceived }
    /// When a frame was last sent.
    var lastSent: Instant { traffic.lastSent }
    /// False while bytes queue up behind a relay that does not read.
    var isRoomy: Bool { traffic.waitingBytes < Self.roomyBytesMax }

    /// Sends frames together. Never calls back synchronously, so it may be called under a lock, and in that order the frames travel.
    /// - Parameter bytesMax: of each frame.
    /// - Throws: `invalidRequest` if a frame cannot be encoded or is larger than `bytesMax`; `tooManyRequests` beyond `outboundBytesMax`.
    func send(_ frames: [RelayClientFrame], bytesMax: Int) throws(HeliographClientError) {
        var payload = ByteBuffer()
        for frame in frames {
            if payload.readableBytes > 0 { encoding.appendSeparator(to: &payload) }
            let start = payload.writerIndex
            do throws(FrameFault) {
                try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
            } catch {
                throw .invalidRequest("the frame cannot be encoded")
            }
            guard payload.writerIndex - start <= bytesMax else { throw .invalidRequest("more than \(bytesMax) bytes") }
        }
        guard traffic.waitingBytes + payload.readableBytes <= Self.outboundBytesMax else { throw .tooManyRequests }
        write(payload)
    }

    private func write(_ payload: ByteBuffer) {
        let (channel, traffic, bytes) = (channel, traffic, payload.readableBytes)
        traffic.sending(bytes)
        channel.eventLoop.execute {
            channel.writeAndFlush(payload).whenComplete { _ in traffic.sent(bytes) }
        }
    }

    /// Says goodbye and ends the transport as it wants to be ended; at the latest after two seconds the socket is gone.
    func close(farewell: RelayClientFrame) {
        try? send([farewell], bytesMax: ClientFraming.frameBytesMax)
        let channel = channel
        channel.eventLoop.execute { channel.close(mode: .output, promise: nil) }
        channel.eventLoop.scheduleTask(in: Self.closeTimeout) { channel.close(promise: nil) }
    }

    /// Ends the connection for a reason of our own, which `closed` will report.
    func abort(_ cause: DisconnectCause) {
        let channel = channel
        channel.eventLoop.execute { channel.triggerUserOutboundEvent(AbortEvent(cause: cause), promise: nil) }
    }
}
