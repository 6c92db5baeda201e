import Wire

/// How a client reaches a relay: the doors of the protocol (its section 1). All of them lead to the same session.
///
/// Over `ws:` and `http:` nothing is encrypted and HTTP/2 is spoken by prior knowledge; over `wss:` and `https:` there is TLS, and the
/// version of HTTP is agreed on by ALPN.
public enum ClientTransport: Hashable, Sendable {
    /// A WebSocket on a connection of its own (RFC 6455).
    case webSocket(WebSocketFormat = .json)
    /// A WebSocket on an HTTP/2 stream (RFC 8441).
    case webSocketOverHTTP2(WebSocketFormat = .json)
    /// JSON, one frame a line, both ways on an HTTP/2 stream: `POST /v1/stream`.
    case ndjson
    /// A bidirectional gRPC call: `POST /heliograph.v1.Relay/Connect`.
    case grpc
}

/// How frames travel in a WebSocket.
public struct WebSocketFormat: Hashable, Sendable {
    public enum Encoding: String, Hashable, Sendable, CaseIterable {
        case json
        case protobuf
    }

    public var encoding: Encoding
    /// Whether permessage-deflate (RFC 7692) is offered; the relay may decline. Off by default: without context takeover, which Heliograph
    /// never uses, a chat message in JSON shrinks by a quarter only, and both ends pay for it with every message. It pays on slow or metered
    /// links, and for those who read much at once: a page of history shrinks to a third, a list of members to a fifteenth.
    public var compresses: Bool

    public init(_ encoding: Encoding, compresses: Bool = false) {
        self.encoding = encoding
        self.compresses = compresses
    }

    public static let json = WebSocketFormat(.json)
    public static let protobuf = WebSocketFormat(.protobuf)

    var frames: FrameEncoding {
        switch encoding {
        case .json: .json
        case .protobuf: .protobuf
        }
    }
}

extension ClientTransport {
    var encoding: FrameEncoding {
        switch self {
        case .webSocket(let format), .webSocketOverHTTP2(let format): format.frames
        case .ndjson: .json
        case .grpc: .grpc
        }
    }

    /// Nil for streams.
    var webSocketFormat: WebSocketFormat? {
        switch self {
        case .webSocket(let format), .webSocketOverHTTP2(let format): format
        case .ndjson, .grpc: nil
        }
    }

    /// Whether the client has to give signs of life by itself: a WebSocket's server asks for them.
    var isStream: Bool { webSocketFormat == nil }

    /// The protocol that ALPN has to agree on (RFC 7301).
    var applicationProtocol: String {
        if case .webSocket = self { "http/1.1" } else { "h2" }
    }

    /// What is asked for unless the URL says something else.
    var defaultPath: String {
        switch self {
        case .webSocket, .webSocketOverHTTP2: "/v1/ws"
        case .ndjson: "/v1/stream"
        case .grpc: "/heliograph.v1.Relay/Connect"
        }
    }
}
