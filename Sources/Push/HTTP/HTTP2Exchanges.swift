import HTTP2
import MeshCore
import NIOCore
import TLS

/// One HTTP/2 connection as a client, with all its requests. Lives on its event loop.
///
/// Nothing is asked before the server has said how many streams it takes; those above that number wait in nghttp2.
final class HTTP2Exchanges: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private final class Exchange {
        let request: HTTPRequest
        let promise: EventLoopPromise<HTTPResponse>
        let begunAt: Instant
        var stream: Int32?
        var response: HTTPResponse?
        var deadline: Scheduled<Void>?

        init(_ request: HTTPRequest, _ promise: EventLoopPromise<HTTPResponse>, begunAt: Instant) {
            self.request = request
            self.promise = promise
            self.begunAt = begunAt
        }
    }

    /// A request's body, all of which is there from the start.
    private final class Body: HTTP2Body {
        private var rest: ByteBuffer
        init(_ bytes: ByteBuffer) { rest = bytes }
        var readableBytes: Int { rest.readableBytes }
        var end: HTTP2BodyEnd? { .endStream }
        func take(_ count: Int, into buffer: inout ByteBuffer) {
            if var slice = rest.readSlice(length: count) { buffer.writeBuffer(&slice) }
        }
    }

    private static let outputBytesMax = 64 << 10

    private let place: HTTPPlace
    private let session = HTTP2Session(role: .client, limits: HTTP2Limits(), now: HTTP2Exchanges.now())
    private var context: ChannelHandlerContext?
    /// Until the server's settings have come.
    private var waiting: [Exchange] = []
    private var streams: [Int32: Exchange] = [:]
    private var isSettled = false
    private var isReading = false
    private var heardAt = HTTP2Exchanges.now()
    /// Whether it takes more requests.
    private(set) var isOpen = true

    init(_ place: HTTPPlace) { self.place = place }

    private static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    // MARK: Requests

    func start(_ request: HTTPRequest, _ promise: EventLoopPromise<HTTPResponse>) {
        let exchange = Exchange(request, promise, begunAt: Self.now())
        exchange.deadline = place.loop.assumeIsolated().scheduleTask(in: .nanoseconds(place.deadline.nanoseconds)) {
            self.ranOut(exchange)
        }
        guard isSettled, context != nil else { return waiting.append(exchange) }
        open(exchange)
        pump()
    }

    private func open(_ exchange: Exchange) {
        var headers: HTTP2Headers = [
            ":method": "POST", ":scheme": place.address.isEncrypted ? "https" : "http", ":authority": place.address.authority,
            ":path": exchange.request.target,
        ]
        for (name, value) in exchange.request.headers { headers.add(name, value) }
        headers.add("content-length", String(exchange.request.body.readableBytes))
        guard let stream = session.request(headers, body: Body(exchange.request.body)) else {
            isOpen = false
            return finish(exchange, .failure(HTTPFault.unprocessed))
        }
        exchange.stream = stream
        streams[stream] = exchange
    }

    private func finish(_ exchange: Exchange, _ result: Result<HTTPResponse, any Error>) {
        exchange.deadline?.cancel()
        if let stream = exchange.stream { streams[stream] = nil }
        exchange.promise.completeWith(result)
        if !isOpen, streams.isEmpty { context?.close(promise: nil) }
    }

    private func ranOut(_ exchange: Exchange) {
        waiting.removeAll { $0 === exchange }
        // A server that says nothing at all is not there any more: whatever comes next tries another connection.
        if heardAt < exchange.begunAt { isOpen = false }
        if let stream = exchange.stream { session.reset(stream: stream, .cancel) }
        finish(exchange, .failure(HTTPFault.timedOut(place.deadline)))
        pump()
    }

    /// Nobody gets an answer any more.
    func end(_ fault: HTTPFault) {
        isOpen = false
        let all = waiting + streams.values
        waiting = []
        for exchange in all { finish(exchange, .failure(fault)) }
        session.forgetBodies()
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        pump()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        end(.closed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(HTTPFault(error))
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let secured = event as? TLSHandshakeCompleted, secured.handshake.alpn != "h2" {
            end(.notHTTP("the server did not agree to speak HTTP/2 (ALPN h2)"))
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        heardAt = Self.now()
        isReading = true
        do throws(HTTP2Fault) {
            for event in try session.receive(unwrapInboundIn(data), now: heardAt) { handle(event) }
            isReading = false
            pump()
        } catch {
            isReading = false
            pump()
            end(.notHTTP("\(error)"))
            context.close(promise: nil)
        }
    }

    // MARK: Events

    private func handle(_ event: HTTP2Event) {
        switch event {
        case .settings: settled()
        case .headers(let stream, let headers, _): received(headers, on: stream)
        case .data(let stream, let bytes): received(bytes, on: stream)
        case .endOfStream: break
        case .streamClosed(let stream, let code): closed(stream, code)
        case .goaway(let last, _): goneAway(after: last)
        case .invalidFrame: isOpen = false
        }
    }

    private func settled() {
        guard !isSettled else { return }
        isSettled = true
        let exchanges = waiting
        waiting = []
        exchanges.forEach(open)
    }

    /// The head of a response. Trailers, which come later, mean nothing here; an interim answer is none.
    private func received(_ headers: HTTP2Headers, on stream: Int32) {
        guard let exchange = streams[stream], exchange.response == nil, let status = headers[":status"].flatMap({ Int($0) }),
            status >= 200
        else { return }
        exchange.response = HTTPResponse(status: status, headers: headers.fields.map { ($0.name, $0.value) }, body: ByteBuffer())
    }

    private func received(_ bytes: ByteBuffer, on stream: Int32) {
        session.consumeConnection(bytes: bytes.readableBytes)
        session.consume(stream: stream, bytes: bytes.readableBytes)
        guard let exchange = streams[stream], let response = exchange.response else { return }
        guard response.body.readableBytes + bytes.readableBytes <= HTTPBounds.responseBytesMax else {
            session.reset(stream: stream, .cancel)
            return finish(exchange, .failure(HTTPFault.responseTooLong))
        }
        exchange.response?.body.writeImmutableBuffer(bytes)
    }

    private func closed(_ stream: Int32, _ code: UInt32) {
        guard let exchange = streams[stream] else { return }
        if code == HTTP2ErrorCode.noError.rawValue, let response = exchange.response {
            finish(exchange, .success(response))
        } else {
            finish(exchange, .failure(code == HTTP2ErrorCode.refusedStream.rawValue ? HTTPFault.unprocessed : .closed))
        }
    }

    private func goneAway(after last: Int32) {
        isOpen = false
        for (stream, exchange) in streams where stream > last { finish(exchange, .failure(HTTPFault.unprocessed)) }
        if streams.isEmpty { context?.close(promise: nil) }
    }

    // MARK: Out

    /// Writes what the windows allow. Not while events are handled: their end comes here too.
    private func pump() {
        guard !isReading, let context else { return }
        var isMore = true
        while isMore {
            let fault = fill()
            isMore = session.output.readableBytes > 0
            if isMore {
                context.writeAndFlush(wrapOutboundOut(session.output), promise: nil)
                session.output = ByteBuffer()
            }
            for event in session.takeEvents() { handle(event) }
            if let fault { return end(.notHTTP("\(fault)")) }
        }
        if session.isOver { context.close(promise: nil) }
    }

    private func fill() -> HTTP2Fault? {
        do throws(HTTP2Fault) {
            try session.fill(bytesMax: Self.outputBytesMax)
            return nil
        } catch {
            return error
        }
    }
}
