import MeshCore
import NIOCore
import NIOHTTP1

/// POSTs over HTTP/1.1 (RFC 9112). Keeps its connection between requests; one that the server has closed meanwhile is made anew.
final class HTTP1Client: HTTPClient {
    private let place: HTTPPlace
    private let kept: NIOLoopBoundBox<HTTP1Exchange?>

    init(_ place: HTTPPlace) {
        self.place = place
        kept = .makeBoxSendingValue(nil, eventLoop: place.loop)
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try await place.loop.flatSubmit { [self] in start(request) }.get()
    }

    private func start(_ request: HTTPRequest) -> EventLoopFuture<HTTPResponse> {
        guard let exchange = kept.value, exchange.isFree else { return startAnew(request) }
        // Whoever keeps a connection may close it as we write: what was not answered is sent once more.
        return run(request, on: exchange).flatMapError { [self] error in
            HTTPFault(error) == .closed ? startAnew(request) : place.loop.makeFailedFuture(error)
        }
    }

    private func startAnew(_ request: HTTPRequest) -> EventLoopFuture<HTTPResponse> {
        let exchange = NIOLoopBound(HTTP1Exchange(), eventLoop: place.loop)
        kept.value = exchange.value
        let answer = run(request, on: exchange.value)
        place.connect { channel in
            try channel.pipeline.syncOperations.addHTTPClientHandlers()
            try channel.pipeline.syncOperations.addHandler(exchange.value)
        }.whenFailure { error in exchange.value.fail(HTTPFault(error)) }
        return answer
    }

    private func run(_ request: HTTPRequest, on exchange: HTTP1Exchange) -> EventLoopFuture<HTTPResponse> {
        let promise = place.loop.makePromise(of: HTTPResponse.self)
        let bound = NIOLoopBound(exchange, eventLoop: place.loop)
        let deadline = place.loop.scheduleTask(in: .nanoseconds(place.deadline.nanoseconds)) { [place] in
            bound.value.fail(.timedOut(place.deadline))
        }
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        exchange.run(request, authority: place.address.authority, promise)
        return promise.futureResult
    }
}

/// One connection with at most one request under way, on its event loop.
final class HTTP1Exchange: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private var context: ChannelHandlerContext?
    private var promise: EventLoopPromise<HTTPResponse>?
    /// Until the connection is there.
    private var waiting: (request: HTTPRequest, authority: String)?
    private var response: HTTPResponse?
    private var mayBeKept = true

    /// Open, and nothing under way.
    var isFree: Bool { context != nil && promise == nil && mayBeKept }

    func run(_ request: HTTPRequest, authority: String, _ promise: EventLoopPromise<HTTPResponse>) {
        self.promise = promise
        response = nil
        guard let context else {
            waiting = (request, authority)
            return
        }
        write(request, authority, context)
    }

    func channelActive(context: ChannelHandlerContext) {
        // The deadline may have passed while the connection was made.
        guard promise != nil, let waiting else { return context.close(promise: nil) }
        self.context = context
        self.waiting = nil
        write(waiting.request, waiting.authority, context)
    }

    private func write(_ request: HTTPRequest, _ authority: String, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders([("host", authority)] + request.headers)
        headers.add(name: "content-length", value: String(request.body.readableBytes))
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: request.target, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(request.body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        // An interim answer (RFC 9110, section 15.2) is none.
        case .head(let head) where (100..<200).contains(head.status.code): break
        case .head(let head):
            mayBeKept = head.isKeepAlive
            response = HTTPResponse(
                status: Int(head.status.code), headers: head.headers.map { ($0.name.lowercased(), $0.value) }, body: ByteBuffer())
        case .body(let part):
            let held = response?.body.readableBytes ?? 0
            guard held + part.readableBytes <= HTTPBounds.responseBytesMax else { return fail(.responseTooLong) }
            response?.body.writeImmutableBuffer(part)
        case .end:
            if let response { finish(.success(response)) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        fail(.closed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error is HTTPParserError ? .notHTTP("\(error)") : HTTPFault(error))
        context.close(promise: nil)
    }

    /// Does nothing when no request is under way.
    func fail(_ fault: HTTPFault) {
        mayBeKept = false
        finish(.failure(fault))
    }

    private func finish(_ result: Result<HTTPResponse, any Error>) {
        let promise = promise
        self.promise = nil
        waiting = nil
        if !mayBeKept {
            context?.close(promise: nil)
            context = nil
        }
        promise?.completeWith(result)
    }
}
