import HTTP2
import Wire

/// What a stream asks a relay for, and what the answer must be.
struct StreamRequest: Sendable {
    let transport: ClientTransport
    let url: RelayURL

    /// RFC 8441, section 4: to be sent only after the server's settings allow it.
    var isExtendedConnect: Bool { transport.webSocketFormat != nil }

    var headers: HTTP2Headers {
        var headers: HTTP2Headers = [
            ":method": isExtendedConnect ? "CONNECT" : "POST",
            ":scheme": url.isEncrypted ? "https" : "http",
            ":authority": url.authority,
            ":path": url.target(defaultPath: transport.defaultPath),
        ]
        switch transport {
        case .webSocket(let format), .webSocketOverHTTP2(let format): Self.offer(format, in: &headers)
        case .ndjson: headers.add("content-type", Self.ndjsonType)
        case .grpc:
            headers.add("content-type", Self.callType)
            headers.add("te", "trailers")
        }
        headers.add("user-agent", "heliograph")
        return headers
    }

    private static let ndjsonType = "application/x-ndjson"
    private static let callType = "application/grpc"

    /// RFC 8441, section 5: the pseudo-header field goes before the others.
    private static func offer(_ format: WebSocketFormat, in headers: inout HTTP2Headers) {
        headers.add(":protocol", "websocket")
        headers.add("sec-websocket-version", WebSocketHandshake.version)
        if let name = format.frames.subprotocol { headers.add("sec-websocket-protocol", name) }
        if format.compresses { headers.add("sec-websocket-extensions", PermessageDeflate.offer) }
    }

    // MARK: The answer

    /// What was agreed on about compression, if the server has opened the stream.
    func check(_ answer: HTTP2Headers) throws(HeliographClientError) -> PermessageDeflate? {
        if let ending = CallEnding(answer) { throw .callRefused(status: ending.status, message: ending.message) }
        guard answer[":status"] == "200" else { throw .handshakeRefused(status: answer[":status"].flatMap(Int.init) ?? 0) }
        switch transport {
        case .webSocket(let format), .webSocketOverHTTP2(let format):
            return try WebSocketAgreement.check(
                format, subprotocol: answer["sec-websocket-protocol"],
                extensions: answer.fields.filter { $0.name == "sec-websocket-extensions" }.map(\.value))
        case .ndjson: try check(answer["content-type"], is: Self.ndjsonType)
        case .grpc: try check(answer["content-type"], is: Self.callType)
        }
        return nil
    }

    private func check(_ type: String?, is expected: String) throws(HeliographClientError) {
        guard type?.hasPrefix(expected) == true else { throw .handshakeInvalid("the answer is not \(expected) but \(type ?? "untyped")") }
    }
}

/// How a gRPC call ended: in its trailers, or in the headers of an answer without messages.
struct CallEnding: Hashable, Sendable {
    let status: Int
    let message: String

    /// Nil if these headers do not end a call.
    init?(_ headers: HTTP2Headers) {
        guard let status = headers["grpc-status"].flatMap(Int.init) else { return nil }
        self.status = status
        message = GRPCStatus.decoded(message: headers["grpc-message"] ?? "")
    }
}

/// What both ends of a WebSocket must have agreed on, whichever version of HTTP carried the handshake.
enum WebSocketAgreement {
    /// RFC 6455, section 4.1, items 5 and 6 on the server's answer; a subprotocol may be left out for JSON, the default.
    static func check(
        _ format: WebSocketFormat, subprotocol: String?, extensions: [String]
    ) throws(HeliographClientError) -> PermessageDeflate? {
        let offered = format.frames.subprotocol
        guard subprotocol == offered || (subprotocol == nil && format.encoding == .json) else {
            throw .handshakeInvalid("the subprotocol \(offered ?? "") was not accepted")
        }
        do {
            guard let deflate = try PermessageDeflate.check(answer: extensions) else { return nil }
            guard format.compresses else { throw PermessageDeflate.AnswerFault.notOffered }
            return deflate
        } catch {
            throw .handshakeInvalid("the answer to the offered extensions is \(error)")
        }
    }
}
