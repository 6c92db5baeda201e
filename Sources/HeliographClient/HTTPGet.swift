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

/// One HTTP/1.1 GET, in the clear or over TLS, for the command line, tools and tests: no redirects, no reuse of connections.
public enum HTTPGet {
    /// - Parameters:
    ///   - url: `http://host[:port][/path][?query]` or `https://…`, already percent-encoded; an IPv6 host stands in brackets.
    ///   - trustFile: for `https://`: the authorities that the server is trusted by, PEM; nil for those of the system.
    ///   - timeout: for everything from the look-up of the name to the last byte.
    ///   - bodyBytesMax: a longer body is an error.
    /// - Throws: `HTTPGetError`. A status other than 2xx is an answer, not an error.
    public static func fetch(
        _ url: String, trustFile: String? = nil, timeout: TimeSpan = .seconds(10), bodyBytesMax: Int = 16 << 20
    ) async throws -> (status: Int, headers: HTTPHeaders, body: ByteBuffer) {
        let target = try HTTPTarget(url)
        let encryption = try target.isEncrypted ? encryption(trustFile) : nil
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let exchange = HTTPExchange(target: target, encryption: encryption, timeout: timeout, bodyBytesMax: bodyBytesMax, loop: loop)
        let answer = try await loop.flatSubmit { exchange.run() }.get()
        return (answer.status, answer.headers, answer.body)
    }

    private static func encryption(_ trustFile: String?) throws(HTTPGetError) -> TLSContext {
        do throws(TLSConfigurationFault) {
            return try .client(TLSClientSettings(trustFile: trustFile, alpn: ["http/1.1"]))
        } catch {
            throw .cannotTrust("\(error)")
        }
    }
}

public enum HTTPGetError: Error, Hashable, Sendable, CustomStringConvertible {
    case badURL(String)
    /// The file of the authorities cannot be used.
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
        let schemes = ["http://", "https://"]
        guard let scheme = schemes.first(where: url.lowercased().hasPrefix), url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .badURL(url)
        }
        isEncrypted = scheme == "https://"
        let rest = url.dropFirst(scheme.count).prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest.dropFirst(authority.count)
        guard let (host, port) = Self.split(authority, defaultPort: isEncrypted ? 443 : 80) else { throw .badURL(url) }
        (self.host, self.port, self.authority) = (host, port, String(authority))
        pathAndQuery = tail.hasPrefix("/") ? String(tail) : "/" + tail
    }

    private static func split(_ authority: Substring, defaultPort: Int) -> (host: String, port: Int)? {
        guard !authority.contains("@") else { return nil }
        var host = authority
        var port = defaultPort
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            (host, port) = (authority[..<colon], number)
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
        return host.isEmpty ? nil : (String(host), port)
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
    /// Nil in the clear.
    let encryption: TLSContext?
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
                    if let encryption { try channel.pipeline.syncOperations.addHandler(makeHandler(encryption)) }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(collector.value)
                }
            }
            .connect(host: target.host, port: target.port)
            .whenFailure { error in collector.value.fail(.unreachable(target.url, cause: ConnectionFailure.describe(error))) }
        return promise.futureResult
    }

    private func makeHandler(_ context: TLSContext) -> TLSHandler {
        TLSHandler(TLSSession(context, serverName: target.host), handshakeTimeout: timeout)
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
