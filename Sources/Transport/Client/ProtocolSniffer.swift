import NIOCore

/// What a client speaks, by its first bytes. A value: nothing but the bytes decides.
enum ProtocolSniffer {
    enum Verdict: Hashable {
        case tls
        case http1
        case http2
        /// Still a beginning of HTTP/2's preface.
        case undecided
    }

    /// RFC 9113, section 3.4.
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    /// The content type of a handshake record (RFC 8446, section 5.1). No method of HTTP begins with it.
    private static let handshakeRecord: UInt8 = 22

    static func classify(_ bytes: ByteBuffer) -> Verdict {
        let view = bytes.readableBytesView
        guard let first = view.first else { return .undecided }
        if first == handshakeRecord { return .tls }
        guard zip(view, preface).allSatisfy({ $0 == $1 }) else { return .http1 }
        return view.count >= preface.count ? .http2 : .undecided
    }
}
