import MeshCore
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// One HTTP/1.1 GET, for the command line, tools and tests: no redirects, no reuse of connections.
public enum HTTPGet {
    /// - Parameters:
    ///   - url: `http` or `https://host[:port][/path][?query]`, already percent-encoded; an IPv6 host stands in brackets.
    ///   - tls: whom to trust over `https:`.
    ///   - timeout: for everything from the look-up of the name to the last byte.
    ///   - bodyBytesMax: a longer body is an error.
    /// - Throws: `HTTPGetError`. A status other than 2xx is an answer, not an error.
    public static func fetch(
        _ url: String, tls: ClientTLSOptions = ClientTLSOptions(), timeout: TimeSpan = .seconds(10), bodyBytesMax: Int = 16 << 20
    ) async throws -> (status: Int, headers: HTTPHeaders, body: ByteBuffer) {
        let target = try HTTPTarget(url)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let context = try target.isEncrypted ? secureContext(tls) : nil
        let exchange = HTTPExchange(target: target, tls: context, timeout: timeout, bodyBytesMax: bodyBytesMax, loop: loop)
        let answer = try await loop.flatSubmit { exchange.run() }.get()
        return (answer.status, answer.headers, answer.body)
    }

    private static func secureContext(_ options: ClientTLSOptions) throws(HTTPGetError) -> TLSContext {
        do { return try options.context(for: "http/1.1") } catch { throw .cannotTrust("\(error)") }
    }
}

public enum HTTPGetError: Error, Hashable, Sendable, CustomStringConvertible {
    case badURL(String)
    /// The files that say whom to trust, or who asks, cannot be used.
    case cannotTrust(String)
    case unreachable(String, cause: String)
    case timedOut(String, after: TimeSpan)
    case closedEarly(String)
    case bodyTooLong(String, bytesMax: Int)
    case notHTTP(String, cause: String)

    public var description: String {
        switch self {
        case .badURL(let url): "\(url) is not a URL of the form http://host:port/path or https://host:port/path"
        case .cannotTrust(let reason): reason
        case .unreachable(let url, let cause): "\(url) cannot be reached: \(cause)"
        case .timedOut(let url, let span): "\(url) did not answer within \(span)"
        case .closedEarly(let url): "\(url) closed the connection in the middle of its answer"
        case .bodyTooLong(let url, let bytesMax): "\(url) answered with more than \(bytesMax) bytes"
        case .notHTTP(let url, let cause): "\(url) does not speak HTTP: \(cause)"
        }
    }
}

/// The parts of a URL that a GET needs.
struct HTTPTarget: Hashable, Sendable {
    let url: String
    let isEncrypted: Bool
    let host: String
    let port: Int
    let authority: String
    let pathAndQuery: String

    init(_ url: String) throws(HTTPGetError) {
        self.url = url
        guard let parts = URLParts(url), parts.scheme == "http" || parts.scheme == "https" else { throw .badURL(url) }
        isEncrypted = parts.scheme == "https"
        guard let (host, port) = parts.address(defaultPort: isEncrypted ? 443 : 80) else { throw .badURL(url) }
        (self.host, self.port, authority) = (host, port, parts.authority)
        pathAndQuery = (parts.path.isEmpty ? "/" : parts.path) + parts.query
    }
}

private struct HTTPAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: ByteBuffer
}

/// A failed connection attempt in the words of the system.
enum ConnectionFailure {
    static func describe(_ error: any Error) -> String {
        guard let failed = error as? NIOConnectionError else { return describeSystem(error) }
        if let last = failed.connectionErrors.last { return describeSystem(last.error) }
        return "the name \(failed.host) is unknown"
    }

    private static func describeSystem(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        return String(cString: strerror(error.errnoCode))
    }
}

/// Runs one request on one event loop.
private struct HTTPExchange: Sendable {
    let target: HTTPTarget
    let tls: TLSContext?
    let timeout: TimeSpan
    let bodyBytesMax: Int
    let loop: any EventLoop

    /// To be called on `loop`.
    func run() -> EventLoopFuture<HTTPAnswer> {
        let promise = loop.makePromise(of: HTTPAnswer.self)
        let collector = NIOLoopBound(HTTPAnswerCollector(target: target, bodyBytesMax: bodyBytesMax, promise: promise), eventLoop: loop)
        let deadline = loop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) {
            collector.value.fail(.timedOut(target.url, after: timeout))
        }
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(timeout.nanoseconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let session = TLSSession(tls, serverName: target.host)
                        try channel.pipeline.syncOperations.addHandler(TLSHandler(session, handshakeTimeout: timeout))
                    }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(collector.value)
                }
            }
            .connect(host: target.host, port: target.port)
            .whenFailure { error in collector.value.fail(.unreachable(target.url, cause: ConnectionFailure.describe(error))) }
        return promise.futureResult
    }
}

private final class HTTPAnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let target: HTTPTarget
    private let bodyBytesMax: Int
    private var promise: EventLoopPromise<HTTPAnswer>?
    private var answer: HTTPAnswer?
    private var context: ChannelHandlerContext?

    init(target: HTTPTarget, bodyBytesMax: Int, promise: EventLoopPromise<HTTPAnswer>) {
        self.target = target
        self.bodyBytesMax = bodyBytesMax
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        // The deadline may have passed while the connection was made.
        guard promise != nil else { return context.close(promise: nil) }
        self.context = context
        let headers: HTTPHeaders = ["host": target.authority, "connection": "close", "user-agent": "heliograph", "accept": "*/*"]
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.pathAndQuery, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            answer = HTTPAnswer(status: Int(head.status.code), headers: head.headers, body: ByteBuffer())
        case .body(let part):
            let held = answer?.body.readableBytes ?? 0
            guard held + part.readableBytes <= bodyBytesMax else { return fail(.bodyTooLong(target.url, bytesMax: bodyBytesMax)) }
            answer?.body.writeImmutableBuffer(part)
        case .end:
            if let answer { finish(.success(answer)) }
        }
    }

    /// A body that ends with its connection may be cut.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is TLSTruncated { fail(.closedEarly(target.url)) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        fail(.closedEarly(target.url))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error is HTTPParserError ? .notHTTP(target.url, cause: "\(error)") : .unreachable(target.url, cause: "\(error)"))
    }

    /// Does nothing after the first result.
    func fail(_ error: HTTPGetError) { finish(.failure(error)) }

    private func finish(_ result: Result<HTTPAnswer, any Error>) {
        promise?.completeWith(result)
        promise = nil
        context?.close(promise: nil)
    }
}
