import HTTP2
import MeshCore
import NIOCore

/// Bytes that a test hands out, and what follows them.
final class TestBody: HTTP2Body {
    var bytes: ByteBuffer
    var end: HTTP2BodyEnd?

    init(_ text: String = "", end: HTTP2BodyEnd? = .endStream) {
        bytes = ByteBuffer(string: text)
        self.end = end
    }

    var readableBytes: Int { bytes.readableBytes }

    func take(_ count: Int, into buffer: inout ByteBuffer) {
        if var slice = bytes.readSlice(length: count) { buffer.writeBuffer(&slice) }
    }
}

/// A client and a server with nothing but memory between them.
final class HTTP2Pair {
    let client: HTTP2Session
    let server: HTTP2Session
    var now = Instant.zero
    /// What each has been told, with the pieces of a body put together.
    private(set) var seenByClient: [HTTP2Event] = []
    private(set) var seenByServer: [HTTP2Event] = []

    init(_ limits: HTTP2Limits = HTTP2Limits()) {
        client = HTTP2Session(role: .client, limits: limits, now: now)
        server = HTTP2Session(role: .server, limits: limits, now: now)
    }

    /// Carries bytes to and fro until both have nothing to say.
    func exchange() throws {
        while try carry(from: client, to: server, &seenByServer) + carry(from: server, to: client, &seenByClient) > 0 {}
    }

    private func carry(from sender: HTTP2Session, to receiver: HTTP2Session, _ seen: inout [HTTP2Event]) throws -> Int {
        try sender.fill(bytesMax: 1 << 20)
        let bytes = sender.output
        sender.output = ByteBuffer()
        seen.merge(receiver.takeEvents())
        if bytes.readableBytes > 0 { seen.merge(try receiver.receive(bytes, now: now)) }
        return bytes.readableBytes
    }

    /// What came since the last call.
    func takeSeen() -> (client: [HTTP2Event], server: [HTTP2Event]) {
        defer { (seenByClient, seenByServer) = ([], []) }
        return (seenByClient, seenByServer)
    }

    static let get: HTTP2Headers = [":method": "GET", ":scheme": "http", ":authority": "relay", ":path": "/v1/ping"]
    static let post: HTTP2Headers = [":method": "POST", ":scheme": "http", ":authority": "relay", ":path": "/v1/stream"]
}

extension [HTTP2Event] {
    /// Settings are left out: every conversation begins with them.
    mutating func merge(_ events: [HTTP2Event]) {
        for event in events where event != .settings {
            if case .data(let stream, var bytes) = event, case .data(stream, var earlier) = last {
                earlier.writeBuffer(&bytes)
                self[count - 1] = .data(stream: stream, earlier)
            } else {
                append(event)
            }
        }
    }

    /// Bytes of a stream's body.
    func bytes(of stream: Int32) -> Int {
        reduce(0) { sum, event in
            if case .data(stream, let bytes) = event { sum + bytes.readableBytes } else { sum }
        }
    }
}
