import MeshCore
import NIOCore
import NIOHTTP1
import Wire

/// The WebSocket upgrade of `GET /v1/ws` (RFC 6455, section 4.2).
final class WebSocketDoor: HTTPServerProtocolUpgrader {
    static let path = "/v1/ws"

    let supportedProtocol = "websocket"
    /// Checked in `buildUpgradeResponse`, which knows a better answer than none.
    let requiredUpgradeHeaders: [String] = []

    private let front: any ClientFront
    private let helloBytesMax: Int
    private let outboxBytesMax: Int

    init(front: any ClientFront, helloBytesMax: Int, outboxBytesMax: Int) {
        self.front = front
        self.helloBytesMax = helloBytesMax
        self.outboxBytesMax = outboxBytesMax
    }

    struct Refused: Error {}

    func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        guard front.acceptsConnections, let key = Self.key(of: upgradeRequest), Self.encoding(for: upgradeRequest) != nil else {
            return channel.eventLoop.makeFailedFuture(Refused())
        }
        var headers = initialResponseHeaders
        headers.replaceOrAdd(name: "sec-websocket-accept", value: WebSocketHandshake.acceptKey(for: key))
        if let name = Self.offered(upgradeRequest).first(where: { FrameEncoding(subprotocol: $0) != nil }) {
            headers.replaceOrAdd(name: "sec-websocket-protocol", value: name)
        }
        return channel.eventLoop.makeSucceededFuture(headers)
    }

    func upgrade(context: ChannelHandlerContext, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        let connection = ClientConnection(
            encoding: Self.encoding(for: upgradeRequest) ?? .json, channel: context.channel, meter: front.meter,
            helloBytesMax: helloBytesMax, outboxBytesMax: outboxBytesMax)
        return context.eventLoop.makeCompletedFuture {
            try context.pipeline.syncOperations.addHandler(connection)
            front.connected(connection)
            if connection.delegate == nil { connection.closeNow() }
        }
    }

    /// Why a request for `/v1/ws` was not upgraded.
    static func refusal(of head: HTTPRequestHead) -> HTTPAnswer {
        guard head.method == .GET else {
            return HTTPAnswer(status: 405, headers: [("allow", "GET")], body: #"{"error":"GET is the only method here"}"#)
        }
        guard head.headers[canonicalForm: "upgrade"].contains(where: { $0.lowercased() == "websocket" }) else {
            return HTTPAnswer(
                status: 426, headers: [("upgrade", "websocket"), ("connection", "upgrade")],
                body: #"{"error":"this is a WebSocket endpoint"}"#)
        }
        guard head.headers.first(name: "sec-websocket-version") == "13" else {
            return HTTPAnswer(
                status: 426, headers: [("sec-websocket-version", "13")], body: #"{"error":"WebSocket version 13 is spoken here"}"#)
        }
        guard key(of: head) != nil else {
            return HTTPAnswer(
                status: 400, body: #"{"error":"Sec-WebSocket-Key is not 16 bytes in base64, or Connection does not say upgrade"}"#)
        }
        guard encoding(for: head) != nil else {
            return HTTPAnswer(status: 400, body: #"{"error":"no offered subprotocol is heliograph.v1.json or heliograph.v1.proto"}"#)
        }
        return HTTPAnswer(status: 503, headers: [("retry-after", "1")], body: #"{"error":"this node takes no new connections now"}"#)
    }

    private static func offered(_ head: HTTPRequestHead) -> [String] {
        head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init)
    }

    /// JSON when nothing is offered; nil when nothing that is offered is known.
    private static func encoding(for head: HTTPRequestHead) -> FrameEncoding? {
        let offers = offered(head)
        if offers.isEmpty { return .json }
        return offers.lazy.compactMap { FrameEncoding(subprotocol: $0) }.first
    }

    private static func key(of head: HTTPRequestHead) -> String? {
        guard head.method == .GET, RequestTarget(head.uri).path == path, head.version.major == 1, head.version.minor >= 1,
            head.headers[canonicalForm: "connection"].contains(where: { $0.lowercased() == "upgrade" }),
            head.headers.first(name: "sec-websocket-version") == "13",
            let key = head.headers.first(name: "sec-websocket-key"), WebSocketHandshake.isValidKey(key)
        else { return nil }
        return key
    }
}
