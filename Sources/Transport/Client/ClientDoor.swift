import HTTP2
import MeshCore
import NIOHTTP1
import Wire

/// What an HTTP/2 request asks for. A value: the header block alone decides.
enum ClientDoor {
    /// A session; the answer begins with `headers`.
    case session(ClientConnection.Door, FrameFormat, headers: HTTP2Headers, deadline: TimeSpan?)
    case question(HTTPQuestion)
    case refused(HTTPAnswer)
    /// A gRPC call that ends before it begins: a status without messages.
    case refusedCall(GRPCStatus, String)

    static let webSocketPath = "/v1/ws"
    static let streamPath = "/v1/stream"
    static let callPath = "/heliograph.v1.Relay/Connect"

    /// - Parameter compresses: whether permessage-deflate may be agreed on.
    init(_ request: HTTP2Headers, compresses: Bool) {
        let target = RequestTarget(request[":path"] ?? "/")
        let method = request[":method"] ?? ""
        if method == "CONNECT" {
            self = Self.connect(request, target, compresses: compresses)
        } else if Self.isCall(request) {
            self = Self.call(request, target, method)
        } else {
            self = Self.request(request, target, method)
        }
    }

    private static func request(_ request: HTTP2Headers, _ target: RequestTarget, _ method: String) -> ClientDoor {
        switch target.path {
        case streamPath: stream(request, method)
        case callPath: .refused(.problem(415, "content-type must be application/grpc"))
        case webSocketPath: .refused(.problem(400, "over HTTP/2 a WebSocket is opened by an extended CONNECT (RFC 8441)"))
        default: .question(HTTPQuestion(method: method, path: target.path, query: target.query))
        }
    }

    // MARK: RFC 8441

    private static func connect(_ request: HTTP2Headers, _ target: RequestTarget, compresses: Bool) -> ClientDoor {
        guard request[":protocol"] == "websocket" else { return .refused(.problem(501, "no protocol but websocket is connected to")) }
        guard target.path == webSocketPath else { return .refused(.problem(404, "WebSockets are opened at /v1/ws")) }
        guard request["sec-websocket-version"] == WebSocketHandshake.version else {
            return .refused(.problem(400, "WebSocket version 13 is spoken here", headers: [("sec-websocket-version", "13")]))
        }
        let offered = request.list("sec-websocket-protocol")
        guard let encoding = WebSocketOffer.encoding(among: offered) else { return .refused(.problem(400, WebSocketOffer.noSubprotocol)) }
        let deflate = compresses ? PermessageDeflate.accept(offers: request.list("sec-websocket-extensions")) : nil
        var headers: HTTP2Headers = [":status": "200"]
        if !offered.isEmpty, let name = encoding.subprotocol { headers.add("sec-websocket-protocol", name) }
        if let deflate { headers.add("sec-websocket-extensions", deflate.responseHeader) }
        let format = FrameFormat(encoding, .webSocket(windowBits: deflate?.serverWindowBits))
        return .session(.webSocketOverHTTP2, format, headers: headers, deadline: nil)
    }

    // MARK: ndjson

    private static func stream(_ request: HTTP2Headers, _ method: String) -> ClientDoor {
        guard method == "POST" else { return .refused(.problem(405, "POST is the only method here", headers: [("allow", "POST")])) }
        guard mediaType(request) == "application/x-ndjson" else {
            return .refused(.problem(415, "content-type must be application/x-ndjson"))
        }
        guard request["content-encoding"] ?? "identity" == "identity" else {
            return .refused(.problem(415, "no content-encoding is understood here"))
        }
        let headers: HTTP2Headers = [":status": "200", "content-type": "application/x-ndjson", "cache-control": "no-store"]
        return .session(.ndjson, FrameFormat(.json, .stream), headers: headers, deadline: nil)
    }

    // MARK: gRPC

    private static func isCall(_ request: HTTP2Headers) -> Bool {
        guard let type = mediaType(request) else { return false }
        return type == "application/grpc" || type.hasPrefix("application/grpc+")
    }

    private static func call(_ request: HTTP2Headers, _ target: RequestTarget, _ method: String) -> ClientDoor {
        guard method == "POST" else { return .refused(.problem(405, "gRPC calls are POSTs", headers: [("allow", "POST")])) }
        guard target.path == callPath else { return .refusedCall(.unimplemented, "no such method: \(target.path)") }
        let type = mediaType(request) ?? ""
        guard type == "application/grpc" || type == "application/grpc+proto" else {
            return .refused(.problem(415, "no message format but proto is spoken here"))
        }
        let encoding = request["grpc-encoding"] ?? "identity"
        guard encoding == "identity" else { return .refusedCall(.unimplemented, "grpc-encoding \(encoding) is not supported; identity is") }
        var deadline: TimeSpan?
        if let text = request["grpc-timeout"] {
            deadline = GRPCTimeout.parse(text)
            guard deadline != nil else { return .refusedCall(.internal, "grpc-timeout cannot be read: \(text)") }
        }
        let headers: HTTP2Headers = [":status": "200", "content-type": type, "grpc-accept-encoding": "identity"]
        return .session(.grpc, FrameFormat(.grpc, .stream), headers: headers, deadline: deadline)
    }

    /// Of `content-type`, without its parameters.
    private static func mediaType(_ request: HTTP2Headers) -> String? {
        guard let value = request["content-type"], let type = value.split(separator: ";").first else { return nil }
        return type.lowercased().split(separator: " ").first.map(String.init)
    }
}

/// What a client offers in a WebSocket handshake, on either version of HTTP.
enum WebSocketOffer {
    static let noSubprotocol: StaticString = "no offered subprotocol is heliograph.v1.json or heliograph.v1.proto"

    /// JSON when nothing is offered; nil when nothing that is offered is known.
    static func encoding(among offers: [String]) -> FrameEncoding? {
        offers.isEmpty ? .json : offers.lazy.compactMap { FrameEncoding(subprotocol: $0) }.first
    }
}

extension HTTPAnswer {
    /// An error for people, in JSON. A text of our own, which needs no escapes.
    static func problem(_ status: Int, _ text: StaticString, headers: [(name: String, value: String)] = []) -> HTTPAnswer {
        HTTPAnswer(status: status, headers: headers, body: #"{"error":"\#(text)"}"#)
    }
}
