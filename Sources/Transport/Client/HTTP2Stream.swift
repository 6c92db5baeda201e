import HTTP2
import MeshCore
import NIOCore
import Wire

/// One stream of an HTTP/2 connection that carries a session: the session's outbox is what it sends, as the peer's windows allow.
final class HTTP2Stream: HTTP2Body {
    let id: Int32
    let connection: HTTP2Connection
    /// Who sits on this stream, until it has ended.
    private var client: ClientConnection?
    private var ending: HTTP2BodyEnd?
    private var deadline: Scheduled<Void>?
    private let isCall: Bool
    /// Bytes of a batch that is being fanned out right now; see `send`.
    private var lent = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Received bytes for which the peer has no new credit yet: its own answers wait to be read by it first.
    private var withheldBytes = 0
    private var heldBytes = 0

    /// As much may wait for a stream's peer before its requests are not read any further.
    private static let backPressureBytes = 256 << 10

    init(id: Int32, connection: HTTP2Connection, isCall: Bool) {
        self.id = id
        self.connection = connection
        self.isCall = isCall
    }

    var eventLoop: any EventLoop { connection.eventLoop }

    func carry(_ client: ClientConnection, deadline span: TimeSpan?) {
        self.client = client
        guard let span else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        deadline = eventLoop.scheduleTask(in: .nanoseconds(span.nanoseconds)) { bound.value.deadlinePassed() }
    }

    private func deadlinePassed() {
        connection.front.countDrop(.callDeadline)
        client?.discardOutbox()
        client?.end(stream: .deadlineExceeded, "the call's deadline has passed")
    }

    // MARK: In

    func received(_ bytes: ByteBuffer) {
        client?.received(bytes)
        withheldBytes += bytes.readableBytes
        giveCredit()
    }

    /// Called when the peer has read, too.
    func giveCredit() {
        guard withheldBytes > 0 else { return }
        guard let client, client.waitingBytes > Self.backPressureBytes else {
            connection.consumed(id, bytes: withheldBytes)
            withheldBytes = 0
            return
        }
        connection.withhold(id)
    }

    func peerFinished() { client?.peerFinished() }

    /// The stream is gone.
    func closed() {
        deadline?.cancel()
        _ = holds(0)
        let client = client
        self.client = nil
        client?.carrierEnded()
    }

    // MARK: Out

    /// The outbox has something to send.
    func hasMore() { connection.hasMore(id) }

    /// Sends what the windows allow straight from the caller's bytes, and returns how much that was.
    func send(_ batch: UnsafeRawBufferPointer) -> Int {
        lent = batch
        connection.fill(for: id)
        defer { lent = UnsafeRawBufferPointer(start: nil, count: 0) }
        return batch.count - lent.count
    }

    /// Nothing more is sent after what waits.
    func end(_ status: GRPCStatus, _ reason: String) {
        guard ending == nil else { return }
        ending = isCall ? .trailers(Self.trailers(status, reason)) : .endStream
        connection.hasMore(id)
    }

    func cancel() { connection.cancel(id, hasEnded: ending != nil && readableBytes == 0) }

    /// Says how much waits for this stream's peer. True if that is more than its share of what the connection may hold.
    func holds(_ bytes: Int) -> Bool {
        connection.waitingBytes += bytes - heldBytes
        heldBytes = bytes
        return connection.holdsTooMuch(ofWhich: bytes)
    }

    static func trailers(_ status: GRPCStatus, _ reason: String) -> HTTP2Headers {
        var trailers: HTTP2Headers = ["grpc-status": "\(status.rawValue)"]
        if !reason.isEmpty { trailers.add("grpc-message", GRPCStatus.encoded(message: reason)) }
        return trailers
    }

    // MARK: HTTP2Body

    var readableBytes: Int { lent.count + (client?.outbox.sealedBytes ?? 0) }
    /// The session has sealed its outbox before.
    var end: HTTP2BodyEnd? { ending }

    /// Nothing is lent while the outbox holds something.
    func take(_ count: Int, into buffer: inout ByteBuffer) {
        guard lent.isEmpty else {
            buffer.writeBytes(lent.prefix(count))
            lent = UnsafeRawBufferPointer(rebasing: lent.dropFirst(count))
            return
        }
        client?.takeFromOutbox(count, into: &buffer)
    }
}

/// The body of an answer that is known in full.
final class FixedBody: HTTP2Body {
    private var bytes: ByteBuffer

    init(_ text: String) { bytes = ByteBuffer(string: text) }

    var readableBytes: Int { bytes.readableBytes }
    var end: HTTP2BodyEnd? { .endStream }

    func take(_ count: Int, into buffer: inout ByteBuffer) {
        if var slice = bytes.readSlice(length: count) { buffer.writeBuffer(&slice) }
    }
}
