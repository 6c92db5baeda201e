import NIOCore
import TLS
import Wire

/// One connection of the load with its sessions: a WebSocket is one session, an HTTP/2 connection carries many.
///
/// Before there is traffic it blocks; afterwards `countReceived` does not wait.
final class LoadConnection {
    private static let headBytesMax = 16 << 10

    private let dialect: Dialect
    private let authority: String
    private let socket: LoadSocket
    private let inbox: LoadInbox
    /// Nil: one WebSocket over HTTP/1.1.
    private var http2: HTTP2LoadClient?
    private var counters: [DeliveryCounter] = []

    /// Connects, and speaks as far as a session can be opened.
    ///
    /// - Parameters:
    ///   - number: of the connection among all.
    ///   - tls: nil for a door without TLS.
    init(
        _ dialect: Dialect, target: LoadTarget, number: Int, tls: TLSContext?, inbox: LoadInbox, resuming: TLSResumption? = nil
    ) throws {
        self.dialect = dialect
        self.inbox = inbox
        authority = target.authority
        socket = try LoadSocket(connectingTo: target, number: number, tls: tls, resuming: resuming)
        guard dialect.door.isMultiplexed else { return }
        http2 = HTTP2LoadClient()
        try flush()
        while http2?.isReady == false { try receive() }
    }

    var descriptor: CInt { socket.descriptor }
    var sessionCount: Int { counters.count }
    var wasResumed: Bool { socket.handshake?.wasResumed ?? false }
    var resumption: TLSResumption? { socket.resumption }
    var hasUnsent: Bool { socket.hasUnsent }

    // MARK: Sessions

    /// Opens a session and returns its index on this connection. On a stream the request leaves with the first message.
    func openSession() throws -> Int {
        counters.append(DeliveryCounter(unit: dialect.unit, isFramed: dialect.isFramed))
        guard http2 != nil else {
            try upgrade()
            return 0
        }
        return try openStream()
    }

    private func openStream() throws -> Int {
        if dialect.isFramed, http2?.allowsExtendedConnect != true {
            throw BenchmarkError.protocolFailed("the server does not allow extended CONNECT")
        }
        guard let stream = http2?.open(dialect.requestHeaders(authority: authority)) else { return 0 }
        guard dialect.isFramed else { return stream }
        try flush()
        while http2?.isAnswered(stream) == false {
            try receive()
            try check(stream)
        }
        return stream
    }

    private func upgrade() throws {
        var random = SystemRandomNumberGenerator()
        let key = WebSocketHandshake.makeKey(using: &random)
        var request = ByteBuffer()
        WebSocketHandshake.appendRequest(
            host: authority, path: dialect.path, key: key, subprotocols: dialect.subprotocols, to: &request)
        try socket.send(request)
        var answer = ByteBuffer()
        while true {
            try socket.receive(inbox) { answer.writeBytes($0) }
            guard let head = try HandshakeHead.take(from: &answer, bytesMax: Self.headBytesMax) else { continue }
            guard head.statusCode == 101, answer.readableBytes == 0 else { throw BenchmarkError.protocolFailed(head.startLine) }
            return
        }
    }

    /// Sends a request and waits for the reply with its id; an error is thrown.
    func ask(_ request: [UInt8], id: UInt32, on session: Int) throws {
        try converse(request, on: session) { $0.id == id }
    }

    /// Sends a request and hands on what the server says, until something was the last that is waited for; an error is thrown.
    func converse(_ request: [UInt8], on session: Int, until isLast: (RelayServerFrame) throws -> Bool) throws {
        guard let encoding = dialect.encoding else { return }
        try send(request, on: session)
        var reader = ReplyReader(encoding: encoding, isFramed: dialect.isFramed)
        var isFound = false
        while !isFound {
            try receive { other, bytes in
                if other == session, !isFound { isFound = try reader.read(bytes, until: isLast) }
            }
            if !isFound { try check(session) }
        }
    }

    /// Ends a session as its transport wants it, and waits until the server has done the same.
    func closeSession(_ session: Int) throws {
        if dialect.isFramed { try send(Dialect.close(), on: session) }
        if dialect.isFramed { while !counters[session].isBroken { try receive() } }
        guard http2 != nil else { return }
        http2?.finish(session)
        try flush()
        while http2?.hasEnded(session) == false { try receive() }
    }

    /// After the last session was closed.
    func finish() throws { try socket.finish() }

    private func check(_ session: Int) throws {
        let hasEnded = http2?.hasEnded(session) ?? counters[session].isBroken
        if hasEnded { throw BenchmarkError.protocolFailed("the server ended the session") }
    }

    // MARK: Bytes

    /// Sends a message. While there is traffic some of it may stay unsent.
    func send(_ message: [UInt8], on session: Int) throws {
        guard http2 != nil else { return try socket.send(ByteBuffer(bytes: message)) }
        http2?.send(message, on: session)
        try flush()
    }

    func flush() throws {
        guard let output = http2?.output, output.readableBytes > 0 else { return try socket.flush() }
        http2?.output = ByteBuffer()
        try socket.send(output)
    }

    func becomeNonBlocking() { socket.becomeNonBlocking() }

    /// Counts what has come, and hands the deliveries on. Returns the bytes off the wire. Throws when a session has ended.
    func countReceived(deliver: (_ session: Int, _ count: Int) throws -> Void) throws -> Int {
        let count = try socket.receive(inbox) { bytes in
            try split(bytes) { session, payload in
                let deliveries = counters[session].count(payload)
                if deliveries > 0 { try deliver(session, deliveries) }
            }
        }
        try flush()
        try answerPings()
        guard http2?.endedStreams ?? 0 == 0 else { throw BenchmarkError.connectionsLost(http2?.endedStreams ?? 0) }
        return count
    }

    /// Before traffic. What is handed on has been counted: later messages may begin in the middle of what came.
    private func receive(_ body: (_ session: Int, _ payload: UnsafeRawBufferPointer) throws -> Void = { _, _ in }) throws {
        try socket.receive(inbox) { bytes in
            try split(bytes) { session, payload in
                _ = counters[session].count(payload)
                try body(session, payload)
            }
        }
        try flush()
    }

    private func split(_ bytes: UnsafeRawBufferPointer, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        if http2 == nil { try body(0, bytes) } else { try http2?.receive(bytes, body) }
    }

    private func answerPings() throws {
        guard dialect.isFramed else { return }
        for session in counters.indices {
            guard !counters[session].isBroken else { throw BenchmarkError.connectionsLost(1) }
            for _ in 0..<counters[session].takePings() { try send(Dialect.pong(), on: session) }
        }
    }
}
