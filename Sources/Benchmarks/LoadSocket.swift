import Glibc
import NIOCore
import TLS

/// Where a server listens, and how it is trusted.
struct LoadTarget: Sendable {
    var host: String
    var port: Int
    /// Of a server that speaks TLS: the authority that has signed its certificate.
    var trustFile: String?

    var authority: String { "\(host):\(port)" }

    /// Nil for a door without TLS.
    func tlsContext(for door: BenchmarkDoor) throws -> TLSContext? {
        guard door.isEncrypted else { return nil }
        return try TLSContext.client(TLSClientSettings(trustFile: trustFile, alpn: [door.applicationProtocol]))
    }
}

/// The bytes that one call of `LoadSocket.receive` brings. All connections of a thread share them.
final class LoadInbox {
    static let bytes = 256 << 10
    fileprivate var received = ByteBuffer()
    fileprivate var plaintext = ByteBuffer()
}

/// A client socket, with TLS or without. Blocks until `becomeNonBlocking`.
final class LoadSocket {
    /// Connections that one source address carries; the ephemeral ports of one address are some 28,000.
    private static let perSource = 10_000
    /// A server that is silent for this long while it is waited for has failed.
    private static let patienceSeconds = 10

    let descriptor: CInt
    private let tls: TLSSession?
    private var unsent = ByteBuffer()
    private var isBlocking = true

    /// Connects from 127.0.0.1, .2, ... and shakes hands.
    ///
    /// - Parameters:
    ///   - number: of the connection, which decides on its source address.
    ///   - tls: nil for a connection in the clear.
    init(connectingTo target: LoadTarget, number: Int, tls context: TLSContext?, resuming: TLSResumption? = nil) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        tls = context.map { TLSSession($0, serverName: target.host, resuming: resuming) }
        guard descriptor >= 0 else { throw BenchmarkError.connectFailed(Self.reason()) }
        setOptions()
        try connect(target, source: number / Self.perSource)
        try shakeHands()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var hasUnsent: Bool { unsent.readableBytes > 0 }
    var handshake: TLSHandshake? { tls?.handshake }
    /// What a later connection may go on with; nil without TLS or a ticket.
    var resumption: TLSResumption? { tls?.resumption }

    // MARK: Connecting

    /// A close resets the connection: no port waits for stray packets (TIME_WAIT) while the next connection needs one.
    private func setOptions() {
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        var reset = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout<linger>.size))
        var patience = timeval(tv_sec: Self.patienceSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    private func connect(_ target: LoadTarget, source: Int) throws {
        if source > 0 {
            let bound = Self.withAddress("127.0.0.\(1 + source)", 0) { bind(descriptor, $0, $1) }
            guard bound == 0 else { throw BenchmarkError.connectFailed(Self.reason()) }
        }
        let connected = Self.withAddress(target.host, target.port) { Glibc.connect(descriptor, $0, $1) }
        guard connected == 0 else { throw BenchmarkError.connectFailed(Self.reason()) }
    }

    private static func withAddress(_ host: String, _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address.sin_addr) == 1 else {
            errno = EINVAL
            return -1
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    private func shakeHands() throws {
        guard let tls else { return }
        try tls.start(output: &unsent)
        try flush()
        let inbox = LoadInbox()
        while tls.handshake == nil { try receive(inbox) { _ in } }
    }

    func becomeNonBlocking() {
        isBlocking = false
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    // MARK: Bytes

    /// Hands on what has come, decrypted; waits for it while the socket blocks. Returns the bytes off the wire: 0 if there are none now.
    @discardableResult
    func receive(_ inbox: LoadInbox, _ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        let count = read(into: &inbox.received)
        if count < 0, errno == EINTR || (errno == EAGAIN && !isBlocking) { return 0 }
        guard count > 0 else { throw count == 0 ? BenchmarkError.connectionsLost(1) : .connectFailed(Self.reason()) }
        guard let tls else {
            try inbox.received.withUnsafeReadableBytes(body)
            return count
        }
        inbox.plaintext.clear()
        try tls.receive(inbox.received, plaintext: &inbox.plaintext, output: &unsent)
        if hasUnsent { try flush() }
        // The last words may come together with the end.
        guard inbox.plaintext.readableBytes > 0 || !tls.peerHasClosed else { throw BenchmarkError.connectionsLost(1) }
        try inbox.plaintext.withUnsafeReadableBytes(body)
        return count
    }

    private func read(into buffer: inout ByteBuffer) -> Int {
        buffer.clear()
        var count = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: LoadInbox.bytes) { space in
            count = recv(descriptor, space.baseAddress, space.count, 0)
            return max(0, count)
        }
        return count
    }

    /// Takes the bytes and sends what the kernel takes now; all of them while the socket blocks.
    func send(_ bytes: ByteBuffer) throws {
        if let tls {
            try bytes.withUnsafeReadableBytes { try tls.encrypt($0, output: &unsent) }
        } else {
            unsent.writeImmutableBuffer(bytes)
        }
        try flush()
    }

    /// Says that nothing follows. OpenSSL gives a session up for later connections if it ended without.
    func finish() throws {
        tls?.close(output: &unsent)
        try flush()
    }

    func flush() throws {
        while hasUnsent {
            let sent = unsent.withUnsafeReadableBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            if sent < 0, errno == EINTR { continue }
            if sent < 0, errno == EAGAIN, !isBlocking { return }
            guard sent > 0 else { throw BenchmarkError.connectFailed(Self.reason()) }
            unsent.moveReaderIndex(forwardBy: sent)
        }
        unsent.clear()
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
