/// Why a TLS connection failed: the peer's doing, or what this side holds against the peer.
public struct TLSFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// One of a small set, for metrics: `certificate_expired`, `unknown_ca`, `not_tls`, `bad_record`, `alert_bad_certificate`.
    public let label: String
    /// For people: OpenSSL's own reason where there is one.
    public let text: String

    public init(label: String, text: String) {
        self.label = label
        self.text = text
    }

    public var description: String { "\(label): \(text)" }

    /// The peer's handshake needs more bytes than `TLSSession.handshakeBytesMax`.
    static let handshakeTooLarge = TLSFault(
        label: "handshake_too_large", text: "the handshake needs more than \(TLSSession.handshakeBytesMax) bytes")
    static let notReady = TLSFault(label: "not_ready", text: "the handshake is not done")
    static let closed = TLSFault(label: "closed", text: "this side has closed the connection")
    /// The connection ended without close_notify: what came last may be cut (RFC 8446, section 6.1).
    static let truncated = TLSFault(label: "truncated", text: "the peer closed the connection without close_notify")
}

/// Why certificates, keys or settings cannot be used.
public struct TLSConfigurationFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file at fault, nil for a setting.
    public let file: String?
    public let reason: String

    public init(file: String?, reason: String) {
        self.file = file
        self.reason = reason
    }

    public var description: String { file.map { "\($0): \(reason)" } ?? reason }
}
