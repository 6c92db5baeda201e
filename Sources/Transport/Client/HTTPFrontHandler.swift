import MeshCore
import NIOCore
import NIOHTTP1

/// Answers the plain HTTP requests of the client listener. Removed when the connection is upgraded.
final class HTTPFrontHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Requests of this listener carry no body worth reading.
    private static let bodyBytesMax = 65_536

    private let front: any ClientFront
    private let idleTimeout: TimeAmount
    private var head: HTTPRequestHead?
    private var bodyBytes = 0
    private var timer: Scheduled<Void>?
    private var hasAnswered = false

    init(front: any ClientFront, idleTimeout: TimeSpan) {
        self.front = front
        self.idleTimeout = .nanoseconds(idleTimeout.nanoseconds)
    }

    func handlerAdded(context: ChannelHandlerContext) { armTimer(context) }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    /// Half a handshake that is held open, and a connection that idles after a request, cost a place for this long only.
    private func armTimer(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: idleTimeout) {
            let (handler, context) = bound.value
            // A connection that idles after its request was served well.
            if !handler.hasAnswered { handler.front.countDrop(.handshakeTimeout) }
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            bodyBytes = 0
        case .body(let part):
            bodyBytes += part.readableBytes
            if bodyBytes > Self.bodyBytesMax {
                front.countDrop(.badHandshake)
                context.close(promise: nil)
            }
        case .end:
            guard let head else { return }
            self.head = nil
            hasAnswered = true
            armTimer(context)
            answer(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let url = RequestTarget(head.uri)
        if url.path == ClientDoor.webSocketPath {
            front.countDrop(.badHandshake)
            return write(WebSocketDoor.refusal(of: head), for: head, context)
        }
        if url.path == ClientDoor.streamPath || url.path == ClientDoor.callPath {
            front.countDrop(.badHandshake)
            return write(.problem(505, "streams need HTTP/2"), for: head, context)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let question = HTTPQuestion(method: head.method.rawValue, path: url.path, query: url.query)
        front.answer(question).whenComplete { result in
            let (handler, context) = bound.value
            handler.write((try? result.get()) ?? .problem(500, "internal"), for: head, context)
        }
    }

    private func write(_ answer: HTTPAnswer, for request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders(answer.headers.map { ($0.name, $0.value) })
        let body = answer.body.map { context.channel.allocator.buffer(string: $0) }
        if answer.status != 204 { headers.replaceOrAdd(name: "content-length", value: "\(body?.readableBytes ?? 0)") }
        if body != nil, !headers.contains(name: "content-type") { headers.add(name: "content-type", value: "application/json") }
        if !request.isKeepAlive { headers.replaceOrAdd(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: request.version, status: .init(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body, request.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            if !request.isKeepAlive { bound.value.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The request itself follows and is answered.
        if error is WebSocketDoor.Refused { return }
        front.countDrop(.badHandshake)
        context.close(promise: nil)
    }
}

/// The path and query of a request target, percent-decoded.
struct RequestTarget {
    var path: String
    var query: [String: String] = [:]

    init(_ uri: String) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = percentDecoded(parts.first ?? "")
        guard parts.count > 1 else { return }
        for pair in parts[1].split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = percentDecoded(sides[0])
            if query[name] == nil { query[name] = sides.count > 1 ? percentDecoded(sides[1]) : "" }
        }
    }
}

/// Bytes that are no valid escape stay as they are; what is no UTF-8 then is replaced.
func percentDecoded(_ text: Substring) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        let digits = rest.prefix(2)
        if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(Substring(digits), radix: 16) {
            bytes.append(value)
            rest = rest.dropFirst(2)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
