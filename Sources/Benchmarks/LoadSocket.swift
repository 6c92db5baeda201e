import Glibc
import NIOCore
import Wire

/// A blocking client socket with its handshake: the slow part of a load connection, before traffic.
enum LoadSocket {
    /// Connections that one source address carries; the ephemeral ports of one address are some 28,000.
    private static let perSource = 10_000
    private static let headBytesMax = 16 << 10
    private static let messageBytesMax = 4 << 20

    /// Connects from 127.0.0.1, .2, ... and upgrades.
    static func open(host: String, port: Int, number: Int, dialect: Dialect) throws -> CInt {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw BenchmarkError.connectFailed(reason()) }
        do {
            try connect(descriptor, host: host, port: port, source: number / perSource)
            try upgrade(descriptor, host: "\(host):\(port)", dialect: dialect)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Sends a request and waits for the reply with its id; an error is thrown. Returns the bytes behind the reply.
    static func ask(_ descriptor: CInt, _ request: [UInt8], id: UInt32, encoding: FrameEncoding) throws -> ByteBuffer {
        try sendAll(descriptor, request)
        var parser = WebSocketParser(role: .client, messageBytesMax: messageBytesMax)
        var inbox = ByteBuffer()
        while true {
            try receive(descriptor, into: &inbox)
            while let event = parser.next(&inbox) {
                switch event {
                case .text(let payload), .binary(let payload): if try isReply(payload, id, encoding) { return inbox }
                case .ping, .pong: break
                case .close, .violation: throw BenchmarkError.protocolFailed("\(event)")
                }
            }
        }
    }

    static func sendAll(_ descriptor: CInt, _ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let sent = bytes[offset...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw BenchmarkError.connectFailed(reason()) }
            offset += sent
        }
    }

    private static func isReply(_ payload: ByteBuffer, _ id: UInt32, _ encoding: FrameEncoding) throws -> Bool {
        for frame in try ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: messageBytesMax) {
            switch frame.frame {
            case .error(let error): throw BenchmarkError.protocolFailed("\(error.code) \(error.message)")
            case .goodbye(let goodbye): throw BenchmarkError.protocolFailed("goodbye \(goodbye.code) \(goodbye.reason)")
            default: if frame.id == id { return true }
            }
        }
        return false
    }

    private static func connect(_ descriptor: CInt, host: String, port: Int, source: Int) throws {
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        if source > 0 {
            let bound = withAddress("127.0.0.\(1 + source)", 0) { bind(descriptor, $0, $1) }
            guard bound == 0 else { throw BenchmarkError.connectFailed(reason()) }
        }
        let connected = withAddress(host, port) { Glibc.connect(descriptor, $0, $1) }
        guard connected == 0 else { throw BenchmarkError.connectFailed(reason()) }
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

    private static func upgrade(_ descriptor: CInt, host: String, dialect: Dialect) throws {
        var random = SystemRandomNumberGenerator()
        let key = WebSocketHandshake.makeKey(using: &random)
        var request = ByteBuffer()
        WebSocketHandshake.appendRequest(host: host, path: dialect.path, key: key, subprotocols: dialect.subprotocols, to: &request)
        try sendAll(descriptor, Array(request.readableBytesView))
        var inbox = ByteBuffer()
        while true {
            try receive(descriptor, into: &inbox)
            guard let head = try HandshakeHead.take(from: &inbox, bytesMax: headBytesMax) else { continue }
            guard head.statusCode == 101, inbox.readableBytes == 0 else { throw BenchmarkError.protocolFailed(head.startLine) }
            return
        }
    }

    private static func receive(_ descriptor: CInt, into buffer: inout ByteBuffer) throws {
        let received = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 64 << 10) { bytes in
            max(0, recv(descriptor, bytes.baseAddress, bytes.count, 0))
        }
        guard received > 0 else { throw BenchmarkError.connectFailed("the server closed the connection") }
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
