public import TLS
public import Wire

/// What can go wrong between an application and a relay.
public enum HeliographClientError: Error, Sendable, CustomStringConvertible {
    /// Not a URL of a relay: the text is what was given.
    case invalidURL(String)
    /// The files of `ClientOptions.tls` cannot be used.
    case invalidTLSSettings(String)
    /// No connection, or none in time.
    case connectFailed(String)
    /// No secure connection: whom the server trusts, what its certificate says, what both speak.
    case tls(TLSFault)
    /// The server answered the opening of the transport with this HTTP status.
    case handshakeRefused(status: Int)
    /// The server ended the gRPC call before it began.
    case callRefused(status: Int, message: String)
    /// The server does not speak the transport: its answer breaks RFC 6455, 8441 or 9113, or it agreed to another protocol.
    case handshakeInvalid(String)
    /// The relay answered a request with an error; the session lives on.
    case refused(RelayError)
    /// The connection is gone for good: the relay said not to come back, or reconnecting is switched off.
    case disconnected(DisconnectCause)
    /// The connection was lost while the request was under way: its outcome is unknown.
    case connectionLost(DisconnectCause)
    /// No answer within the deadline: the outcome is unknown.
    case deadlineExceeded
    /// More requests are waiting than `HeliographClient.requestsMax`, or more bytes than 16 MiB for a relay that does not read.
    case tooManyRequests
    /// The application did not keep up with `pushes`; the connection was closed rather than lose something silently.
    case pushesOverflowed(limit: Int)
    /// The request is larger than the relay takes or cannot be encoded.
    case invalidRequest(String)
    /// The answer was of the wrong kind.
    case unexpectedReply
    /// `close()` was called.
    case closed

    /// Whether the same request, with the same key, may be tried again.
    public var isRetryable: Bool {
        switch self {
        case .refused(let error): [.unavailable, .resourceExhausted, .deadlineExceeded].contains(error.code)
        case .connectionLost, .deadlineExceeded, .connectFailed: true
        default: false
        }
    }

    public var description: String {
        switch self {
        case .invalidURL(let text): "not the URL of a relay: \(text)"
        case .invalidTLSSettings(let reason): "the TLS settings cannot be used: \(reason)"
        case .connectFailed(let reason): "cannot connect: \(reason)"
        case .tls(let fault): "no secure connection: \(fault)"
        case .handshakeRefused(let status): "the server refused the transport with HTTP status \(status)"
        case .callRefused(let status, let message): "the server refused the call with gRPC status \(status): \(message)"
        case .handshakeInvalid(let reason): "the server does not speak this transport: \(reason)"
        case .refused(let error): "\(error.code.name): \(error.message)"
        case .disconnected(let cause): "disconnected: \(cause)"
        case .connectionLost(let cause): "connection lost: \(cause)"
        case .deadlineExceeded: "no answer in time"
        case .tooManyRequests: "more than \(HeliographClient.requestsMax) requests, or too many bytes, are waiting"
        case .pushesOverflowed(let limit): "more than \(limit) pushes were waiting to be read"
        case .invalidRequest(let reason): "invalid request: \(reason)"
        case .unexpectedReply: "the relay's answer is of the wrong kind"
        case .closed: "the client is closed"
        }
    }
}

extension RelayErrorCode {
    /// gRPC's name of the code.
    public var name: String {
        switch self {
        case .ok: "OK"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .unauthenticated: "UNAUTHENTICATED"
        case .UNRECOGNIZED(let number): "CODE_\(number)"
        }
    }
}
