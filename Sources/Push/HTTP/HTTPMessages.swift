import HTTP2
import MeshCore
import NIOCore

/// A POST, on either version of HTTP.
struct HTTPRequest: Sendable {
    /// Path and query.
    var target: String
    /// Names in lower case, without those that the version itself needs.
    var headers: [(name: String, value: String)]
    var body: ByteBuffer
}

struct HTTPResponse: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: ByteBuffer

    /// The first value of a name in lower case.
    subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// `retry-after` in seconds (RFC 9110, section 10.2.3). A date is not read: the usual back-off applies.
    var retryAfter: TimeSpan? { self["retry-after"].flatMap { Int($0) }.flatMap { $0 > 0 ? .seconds(min($0, 86_400)) : nil } }
}

/// Why there is no response.
enum HTTPFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unreachable(String)
    case timedOut(TimeSpan)
    /// The connection ended before the response was whole.
    case closed
    case responseTooLong
    case notHTTP(String)
    /// The server did not begin with it: RFC 9113, section 8.7.
    case unprocessed

    var description: String {
        switch self {
        case .unreachable(let cause): "cannot be reached: \(cause)"
        case .timedOut(let span): "no answer within \(span)"
        case .closed: "the connection was closed before the answer"
        case .responseTooLong: "the answer is longer than \(HTTPBounds.responseBytesMax) bytes"
        case .notHTTP(let cause): "does not speak HTTP: \(cause)"
        case .unprocessed: "was not processed"
        }
    }

    init(_ error: any Error) {
        self = error as? HTTPFault ?? .unreachable("\(error)")
    }
}

enum HTTPBounds {
    /// Services answer with a few hundred bytes.
    static let responseBytesMax = 64 << 10
}

/// Sends requests to one server.
protocol HTTPClient: Sendable {
    /// - Throws: `HTTPFault`
    func send(_ request: HTTPRequest) async throws -> HTTPResponse
}
