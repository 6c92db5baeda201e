/// RFC 9113, section 7.
public enum HTTP2ErrorCode: UInt32, Hashable, Sendable {
    case noError = 0x0
    case protocolError = 0x1
    case internalError = 0x2
    case streamClosed = 0x5
    case refusedStream = 0x7
    case cancel = 0x8
    case enhanceYourCalm = 0xb
}

/// Why a connection is ended by this side. The label is for metrics.
public struct HTTP2Fault: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: String, Hashable, Sendable {
        /// The peer broke RFC 9113 or RFC 7541.
        case protocolError = "protocol_error"
        /// A header block above `headerBytesMax`, `headersMax` or `continuationsMax`.
        case headersTooLarge = "headers_too_large"
        /// More frames of a kind than anybody needs.
        case flood
    }

    public let kind: Kind
    public let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    var code: HTTP2ErrorCode { kind == .protocolError ? .protocolError : .enhanceYourCalm }
}
