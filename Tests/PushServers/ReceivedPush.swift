import NIOCore

/// A request that a receiver of notifications was sent.
public struct ReceivedPush: Hashable, Sendable {
    public var path: String
    /// Names in lower case.
    public var headers: [String: String]
    public var body: String
    /// Which connection it came over, from 1.
    public var connection: Int
}

/// What a receiver does with a request.
public enum PushReply: Hashable, Sendable {
    case status(Int, headers: [String: String] = [:], body: String = "")
    /// Says nothing.
    case hang
    /// Closes the connection instead of an answer.
    case close
}
