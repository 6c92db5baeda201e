import MeshCore
import NIOCore
import NIOHTTP1
import Wire

/// The WebSocket upgrade of `GET /v1/ws` (RFC 6455, section 4.2).
final class WebSocketDoor: HTTPServerProtocolUpgrader {
    let supportedProtocol = "websocket"
    /// Checked in `buildUpgradeResponse`, which knows a better answer than none.
    let requiredUpgradeHeaders: [String] = []

    private let front: any ClientFront
    private let socket: ClientSocket
    private let settings: ClientListenerSettings

    init(front: any ClientFront, socket: ClientSocket, settings: ClientListenerSettings) {
        self.front = front
        self.socket = socket
        self.settings = settings
    }

    struct Refused: Error {}

    func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        guard front.acceptsConnections, let key = Self.key(of: upgradeRequest), let encoding = Self.encoding(for: upgradeRequest) else {
            return channel.eventLoop.makeFailedFuture(Refused())
        }
        var headers = initialResponseHeaders
        headers.replaceOrAdd(name: "sec-websocket-accept", value: WebSocketHandshake.acceptKey(for: key))
        if !Self.offered(upgradeRequest).isEmpty, let name = encoding.subprotocol {
            headers.replaceOrAdd(name: "sec-websocket-protocol", value: name)
        }
        if let deflate = deflate(for: upgradeRequest) {
            headers.replaceOrAdd(name: "sec-websocket-extensions", value: deflate.responseHeader)
        }
        return channel.eventLoop.makeSucceededFuture(headers)
    }

    /// The bytes of the first frames may still be in the pipeline, which is left behind once they have come out of it.
    func upgrade(context: ChannelHandlerContext, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        let framing = FrameFormat.Framing.webSocket(windowBits: deflate(for: upgradeRequest)?.serverWindowBits)
        let connection = ClientConnection(
            .webSocket, FrameFormat(Self.encoding(for: upgradeRequest) ?? .json, framing), on: .socket(socket), tools: front.tools,
            settings: settings)
        let tail = UpgradeTail(connection: connection)
        return context.eventLoop.makeCompletedFuture {
            try context.pipeline.syncOperations.addHandler(tail)
            socket.receiver = connection
            front.connected(connection)
            if connection.delegate == nil { connection.closeNow() }
            let bound = NIOLoopBound((socket, tail, context.pipeline), eventLoop: context.eventLoop)
            context.eventLoop.execute {
                let (socket, tail, pipeline) = bound.value
                socket.readsThroughPipeline = false
                pipeline.syncOperations.removeHandler(tail, promise: nil)
            }
        }
    }

    private func deflate(for head: HTTPRequestHead) -> PermessageDeflate? {
        settings.compresses ? PermessageDeflate.accept(offers: head.headers["sec-websocket-extensions"]) : nil
    }

    /// Why a request for `/v1/ws` was not upgraded.
    static func refusal(of head: HTTPRequestHead) -> HTTPAnswer {
        guard head.method == .GET else {
            return .problem(405, "GET is the only method here", headers: [("allow", "GET")])
        }
        guard head.headers[canonicalForm: "upgrade"].contains(where: { $0.lowercased() == "websocket" }) else {
            return .problem(426, "this is a WebSocket endpoint", headers: [("upgrade", "websocket"), ("connection", "upgrade")])
        }
        guard head.headers.first(name: "sec-websocket-version") == "13" else {
            return .problem(426, "WebSocket version 13 is spoken here", headers: [("sec-websocket-version", "13")])
        }
        guard key(of: head) != nil else {
            return .problem(400, "Sec-WebSocket-Key is not 16 bytes in base64, or Connection does not say upgrade")
        }
        guard encoding(for: head) != nil else {
            return .problem(400, WebSocketOffer.noSubprotocol)
        }
        return .problem(503, "this node takes no new connections now", headers: [("retry-after", "1")])
    }

    private static func offered(_ head: HTTPRequestHead) -> [String] {
        head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init)
    }

    private static func encoding(for head: HTTPRequestHead) -> FrameEncoding? { WebSocketOffer.encoding(among: offered(head)) }

    private static func key(of head: HTTPRequestHead) -> String? {
        guard head.method == .GET, RequestTarget(head.uri).path == ClientDoor.webSocketPath, head.version.major == 1,
            head.version.minor >= 1,
            head.headers[canonicalForm: "connection"].contains(where: { $0.lowercased() == "upgrade" }),
            head.headers.first(name: "sec-websocket-version") == "13",
            let key = head.headers.first(name: "sec-websocket-key"), WebSocketHandshake.isValidKey(key)
        else { return nil }
        return key
    }
}

/// Takes what HTTP/1.1's handlers had read already when the connection was upgraded.
private final class UpgradeTail: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let connection: ClientConnection

    init(connection: ClientConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data)) }
}
