import Wire

/// A way into the relay, by the name that `bench` has for it. An `s` is for TLS.
public enum BenchmarkDoor: String, CaseIterable, Hashable, Sendable {
    case webSocket = "ws"
    case secureWebSocket = "wss"
    case stream = "h2"
    case secureStream = "h2s"
    case call = "grpc"
    case secureCall = "grpcs"
    case webSocketOverHTTP2 = "h2-ws"
    case secureWebSocketOverHTTP2 = "h2s-ws"

    /// What a session looks like on its transport.
    enum Carrier: Hashable, Sendable {
        case webSocket
        case ndjson
        case grpc
    }

    var isEncrypted: Bool {
        switch self {
        case .webSocket, .stream, .call, .webSocketOverHTTP2: false
        case .secureWebSocket, .secureStream, .secureCall, .secureWebSocketOverHTTP2: true
        }
    }

    /// Whether many sessions share a connection, as streams of HTTP/2.
    public var isMultiplexed: Bool { self != .webSocket && self != .secureWebSocket }

    var carrier: Carrier {
        switch self {
        case .webSocket, .secureWebSocket, .webSocketOverHTTP2, .secureWebSocketOverHTTP2: .webSocket
        case .stream, .secureStream: .ndjson
        case .call, .secureCall: .grpc
        }
    }

    /// What is offered in a TLS handshake (RFC 7301).
    var applicationProtocol: String { isMultiplexed ? "h2" : "http/1.1" }

    /// The encoding that is spoken behind this door when another was asked for.
    func encoding(for wanted: FrameEncoding) -> FrameEncoding {
        switch carrier {
        case .webSocket: wanted
        case .ndjson: .json
        case .grpc: .grpc
        }
    }

    /// The encoding of the WebSocket that this door is compared with.
    func referenceEncoding(for wanted: FrameEncoding) -> FrameEncoding {
        carrier == .grpc ? .protobuf : encoding(for: wanted)
    }
}
