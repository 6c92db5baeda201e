import HTTP2
import MeshCore
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TLS

/// A receiver of notifications on loopback: keeps every request, and answers as it is told.
public final class PushServer: Sendable {
    public enum Version: Sendable { case http1, http2 }

    private struct State {
        var received: [ReceivedPush] = []
        var reply: @Sendable (ReceivedPush) -> PushReply = { _ in .status(200) }
        var connections = 0
        var openStreams = 0
        var streamsPeak = 0
        var listener: (any Channel)?
        var children: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())
    private let version: Version
    private let tls: TLSCredentials?
    private let streamsMax: Int
    private let listeningPort = Mutex(0)
    /// The same after a stop and a start.
    public var port: Int { listeningPort.withLock { $0 } }

    /// Listens on a free port.
    public init(_ version: Version, tls: TLSCredentials? = nil, streamsMax: Int = 100) async throws {
        self.version = version
        self.tls = tls
        self.streamsMax = streamsMax
        try await start()
    }

    public var url: String { "\(tls == nil ? "http" : "https")://127.0.0.1:\(port)" }
    public var received: [ReceivedPush] { state.withLock { $0.received } }
    /// Streams that were open at once, at most.
    public var streamsPeak: Int { state.withLock { $0.streamsPeak } }
    public var connections: Int { state.withLock { $0.connections } }

    public func answer(_ reply: @escaping @Sendable (ReceivedPush) -> PushReply) { state.withLock { $0.reply = reply } }
    public func answer(_ reply: PushReply) { answer { _ in reply } }

    public func start() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel) }
            }
            .bind(host: "127.0.0.1", port: port).get()
        listeningPort.withLock { $0 = listener.localAddress?.port ?? 0 }
        state.withLock { $0.listener = listener }
    }

    /// Ends the listener and all connections.
    public func stop() async {
        let (listener, children) = state.withLock { state in
            defer { (state.listener, state.children) = (nil, [:]) }
            return (state.listener, Array(state.children.values))
        }
        try? await listener?.close().get()
        for child in children { try? await child.close().get() }
    }

    private func accept(_ channel: any Channel) throws {
        let number = state.withLock { state in
            state.connections += 1
            state.children[ObjectIdentifier(channel)] = channel
            return state.connections
        }
        channel.closeFuture.whenComplete { [self] _ in state.withLock { $0.children[ObjectIdentifier(channel)] = nil } }
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(TLSHandler(TLSSession(tls.context), handshakeTimeout: .seconds(5))) }
        switch version {
        case .http1:
            try pipeline.configureHTTPServerPipeline()
            try pipeline.addHandler(HTTP1Receiver(self, number))
        case .http2: try pipeline.addHandler(HTTP2Receiver(self, number, streamsMax: streamsMax))
        }
    }

    func take(_ push: ReceivedPush) -> PushReply {
        let reply = state.withLock { state in
            state.received.append(push)
            return state.reply
        }
        return reply(push)
    }

    func streamOpened() {
        state.withLock { state in
            state.openStreams += 1
            state.streamsPeak = max(state.streamsPeak, state.openStreams)
        }
    }

    func streamEnded() { state.withLock { $0.openStreams -= 1 } }
}

private final class HTTP1Receiver: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let server: PushServer
    private let connection: Int
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ server: PushServer, _ connection: Int) {
        self.server = server
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
        case .body(let part): body.writeImmutableBuffer(part)
        case .end: answer(context)
        }
    }

    private func answer(_ context: ChannelHandlerContext) {
        guard let head else { return }
        let headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }
        let push = ReceivedPush(
            path: head.uri, headers: headers.merging([":method": head.method.rawValue]) { first, _ in first },
            body: String(buffer: body), connection: connection)
        switch server.take(push) {
        case .hang: break
        case .close: context.close(promise: nil)
        case .status(let status, let headers, let body):
            var fields = HTTPHeaders(headers.map { ($0.key, $0.value) })
            fields.add(name: "content-length", value: String(body.utf8.count))
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

private final class HTTP2Receiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private final class Body: HTTP2Body {
        private var rest: ByteBuffer
        init(_ text: String) { rest = ByteBuffer(string: text) }
        var readableBytes: Int { rest.readableBytes }
        var end: HTTP2BodyEnd? { .endStream }
        func take(_ count: Int, into buffer: inout ByteBuffer) {
            if var slice = rest.readSlice(length: count) { buffer.writeBuffer(&slice) }
        }
    }

    private let server: PushServer
    private let connection: Int
    private let session: HTTP2Session
    private var requests: [Int32: (headers: HTTP2Headers, body: ByteBuffer)] = [:]

    init(_ server: PushServer, _ connection: Int, streamsMax: Int) {
        self.server = server
        self.connection = connection
        var limits = HTTP2Limits()
        limits.streamsMax = streamsMax
        session = HTTP2Session(role: .server, limits: limits, now: .zero)
    }

    func channelActive(context: ChannelHandlerContext) { pump(context) }

    func channelInactive(context: ChannelHandlerContext) {
        session.forgetBodies()
        for _ in requests { server.streamEnded() }
        requests = [:]
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for event in (try? session.receive(unwrapInboundIn(data), now: .zero)) ?? [] { handle(event, context) }
        pump(context)
    }

    private func handle(_ event: HTTP2Event, _ context: ChannelHandlerContext) {
        switch event {
        case .headers(let stream, let headers, let endsStream):
            requests[stream] = (headers, ByteBuffer())
            server.streamOpened()
            if endsStream { answer(stream, context) }
        case .data(let stream, let bytes):
            requests[stream]?.body.writeImmutableBuffer(bytes)
            session.consume(stream: stream, bytes: bytes.readableBytes)
            session.consumeConnection(bytes: bytes.readableBytes)
        case .endOfStream(let stream): answer(stream, context)
        case .streamClosed(let stream, _):
            if requests.removeValue(forKey: stream) != nil { server.streamEnded() }
        case .goaway, .settings, .invalidFrame: break
        }
    }

    private func answer(_ stream: Int32, _ context: ChannelHandlerContext) {
        guard let request = requests[stream] else { return }
        let headers = Dictionary(request.headers.fields.map { ($0.name, $0.value) }) { first, _ in first }
        let push = ReceivedPush(path: headers[":path"] ?? "", headers: headers, body: String(buffer: request.body), connection: connection)
        switch server.take(push) {
        case .hang: break
        case .close: context.close(promise: nil)
        case .status(let status, let headers, let body):
            var fields: HTTP2Headers = [":status": String(status)]
            for (name, value) in headers { fields.add(name, value) }
            session.respond(stream: stream, fields, body: Body(body))
        }
    }

    private func pump(_ context: ChannelHandlerContext) {
        repeat {
            session.output = ByteBuffer()
            try? session.fill(bytesMax: 1 << 20)
            if session.output.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(session.output), promise: nil) }
            for event in session.takeEvents() { handle(event, context) }
        } while session.output.readableBytes > 0
    }
}
