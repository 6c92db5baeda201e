import Foundation
import TLS

/// The one place that calls the socket functions of C: reserving ports and short exchanges on 127.0.0.1.
enum LoopbackSocket {
    /// Binds 127.0.0.1:`port` (0: a free one) without listening, and keeps it. Whoever sets SO_REUSEADDR, as servers do, may
    /// bind and listen beside it, while the kernel gives the port to nobody as the source port of a connection.
    ///
    /// - Returns: the descriptor, which the caller closes, and the port; nil if the port is in use.
    static func reserve(port: Int) -> (descriptor: Int32, port: Int)? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard withAddress(port, { bind(descriptor, $0, $1) }) == 0, let bound = localPort(of: descriptor) else {
            close(descriptor)
            return nil
        }
        return (descriptor, bound)
    }

    private static func localPort(of descriptor: Int32) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return result == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    private static func withAddress(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    /// Sends `request` and reads until `isComplete`, the end of the stream, or `bytesMax`. Blocks for at most `timeoutMs`.
    /// Nil when nobody listens, the connection breaks, the other side is not trusted, or the time is over.
    static func exchange(
        port: Int, request: String, encryption: TLSContext? = nil, timeoutMs: Int, bytesMax: Int = 64 << 10, isComplete: ([UInt8]) -> Bool
    ) -> [UInt8]? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // On loopback a connection is made or refused at once, unless the listener's queue is full: then this bounds it.
        var limit = timeval(tv_sec: timeoutMs / 1_000, tv_usec: (timeoutMs % 1_000) * 1_000)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard withAddress(port, { connect(descriptor, $0, $1) }) == 0 else { return nil }
        var speaker =
            encryption.map { LoopbackSpeaker(TLSSession($0, serverName: "127.0.0.1"), request: request) } ?? LoopbackSpeaker(request)
        guard let opening = speaker.opening(), sendAll(opening, to: descriptor) else { return nil }
        let deadlineMs = monotonicMs() + timeoutMs
        while speaker.received.count < bytesMax, !isComplete(speaker.received) {
            guard let news = receive(from: descriptor, until: deadlineMs) else { return nil }
            if news.isEmpty { break }
            guard let answer = speaker.heard(news), sendAll(answer, to: descriptor) else { return nil }
        }
        return speaker.received
    }

    private static func sendAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    /// What has come, empty at the end of the stream, nil when nothing comes in time.
    private static func receive(from descriptor: Int32, until deadlineMs: Int) -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 4_096)
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let rest = deadlineMs - monotonicMs()
        guard rest > 0, poll(&event, 1, Int32(rest)) > 0 else { return nil }
        let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        return count >= 0 ? Array(chunk[..<count]) : nil
    }

    private static func monotonicMs() -> Int {
        Int(DispatchTime.now().uptimeNanoseconds / 1_000_000)
    }
}
