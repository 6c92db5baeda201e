import HTTP2
import MeshCore
import NIOCore
import Wire

/// Said to the session's end when a stream was accepted.
struct PeerStreamOpened: Sendable {
    let deflate: PermessageDeflate?
}

/// How a script ends a stream, or the connection, otherwise than by closing the socket.
enum PeerEnding: Sendable {
    /// END_STREAM, with trailers for a gRPC call.
    case ended(HTTP2Headers?)
    case reset(HTTP2ErrorCode)
    case goaway(HTTP2ErrorCode)
}

/// The server's end of an HTTP/2 connection with one stream.
final class FakeHTTP2Handler: ChannelDuplexHandler, HTTP2Body {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let manner: FakeRelay.Manner
    private var session: HTTP2Session?
    private var stream: Int32 = 0
    private var outbox = ByteBuffer()
    private(set) var end: HTTP2BodyEnd?

    init(_ manner: FakeRelay.Manner) { self.manner = manner }

    // MARK: HTTP2Body

    var readableBytes: Int { outbox.readableBytes }

    func take(_ count: Int, into buffer: inout ByteBuffer) {
        if var slice = outbox.readSlice(length: count) { buffer.writeBuffer(&slice) }
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        session = HTTP2Session(role: .server, limits: HTTP2Limits(), now: .zero)
        pump(context)
    }

    /// The body is held by its stream.
    func channelInactive(context: ChannelHandlerContext) {
        session = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let session else { return }
        let events = (try? session.receive(unwrapInboundIn(data), now: .zero)) ?? []
        for event in events { handle(event, session, context) }
        pump(context)
    }

    private func handle(_ event: HTTP2Event, _ session: HTTP2Session, _ context: ChannelHandlerContext) {
        switch event {
        case .headers(let id, let headers, _):
            stream = id
            answer(headers, session, context)
        case .data(let id, let bytes):
            session.consume(stream: id, bytes: bytes.readableBytes)
            session.consumeConnection(bytes: bytes.readableBytes)
            context.fireChannelRead(wrapInboundOut(bytes))
        case .endOfStream: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        default: break
        }
    }

    private func answer(_ request: HTTP2Headers, _ session: HTTP2Session, _ context: ChannelHandlerContext) {
        guard manner.accepts else { return refuse(session) }
        var headers: HTTP2Headers = [":status": "200"]
        var deflate: PermessageDeflate?
        switch manner.door {
        case .grpc: headers.add("content-type", "application/grpc")
        case .ndjson: headers.add("content-type", "application/x-ndjson")
        case .webSocket, .webSocketOverHTTP2:
            if let name = request["sec-websocket-protocol"] { headers.add("sec-websocket-protocol", name) }
            deflate = PermessageDeflate.accept(offers: request.list("sec-websocket-extensions"))
            if let deflate { headers.add("sec-websocket-extensions", deflate.responseHeader) }
        }
        session.respond(stream: stream, headers, body: self)
        context.fireUserInboundEventTriggered(PeerStreamOpened(deflate: deflate))
    }

    private func refuse(_ session: HTTP2Session) {
        guard case .grpc = manner.door else { return session.respond(stream: stream, [":status": "503"], body: nil) }
        session.respond(
            stream: stream, [":status": "200", "content-type": "application/grpc", "grpc-status": "14", "grpc-message": "not%20now"],
            body: nil)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        outbox.writeImmutableBuffer(unwrapOutboundIn(data))
        promise?.succeed()
    }

    func flush(context: ChannelHandlerContext) {
        session?.resume(stream: stream)
        pump(context)
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event as? PeerEnding {
        case .ended(let trailers): end = trailers.map { .trailers($0) } ?? .endStream
        case .reset(let code): session?.reset(stream: stream, code)
        case .goaway(let code): session?.terminate(code)
        case nil: return context.triggerUserOutboundEvent(event, promise: promise)
        }
        flush(context: context)
        promise?.succeed()
    }

    private func pump(_ context: ChannelHandlerContext) {
        guard let session else { return }
        repeat {
            session.output = ByteBuffer()
            try? session.fill(bytesMax: 1 << 20)
            if session.output.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(session.output), promise: nil) }
        } while session.output.readableBytes > 0
    }
}
