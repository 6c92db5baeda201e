import MeshCore
import NIOCore
import NIOPosix
import SwiftProtobuf
import Wire

/// Who somebody is in a storm, and which room she is in.
struct StormUser: Sendable {
    var name: String
    var token: String
    var room: String
}

/// One of ten thousand: in one room, and back there by `hello.resume` when her connection was lost. She judges what she sees when it comes and
/// keeps none of it, comes back when she is told to, and does all that on one event loop.
final class StormClient {
    private static let helloID: UInt32 = 1
    private static let subscribeID: UInt32 = 2

    let user: StormUser
    let weather: Weather
    private let loop: any EventLoop
    private var node = StormNode(index: 0, host: "", port: 0)
    /// Of the last welcome: what makes the next hello one that resumes.
    private var session: String?
    /// Of the last message that she has seen, or where she came in: 0/0 if that was not known then.
    private var position: RelayPosition?
    /// She is to see the messages of her room up to this one.
    private var goal: UInt64 = 0
    private var socket: StormSocket?
    private var greetedAt: ContinuousClock.Instant?
    private var hellos = 0
    private var refusal: RelayError?
    private var goodbye: RelayGoodbye?
    /// The room is pending: what follows the welcome says what became of it.
    private var awaitsRoom = false
    /// In her room, and fed.
    private var isIn = false
    private var isSettled = false {
        didSet { if isSettled != oldValue { weather.settled(isSettled ? 1 : -1) } }
    }

    init(_ user: StormUser, weather: Weather, loop: any EventLoop) {
        self.user = user
        self.weather = weather
        self.loop = loop
    }

    private func complain(_ what: String) { weather.complain("\(user.name) in \(user.room): \(what)") }

    private func settle() { isSettled = isIn && (position?.seq ?? 0) >= goal }

    // MARK: What she is told to do

    func aim(at goal: UInt64) {
        self.goal = goal
        settle()
    }

    /// Connects, and says hello unless she waits for the others; the future says when that is done.
    func come(to node: StormNode, waits: Bool) -> EventLoopFuture<Void> {
        self.node = node
        hellos = 0
        return dial().assumeIsolated().map { if !waits { self.sayHello() } }.nonisolated()
    }

    private func dial() -> EventLoopFuture<Void> {
        let upgraded = loop.makePromise(of: Void.self)
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(20))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let socket = StormSocket(client: bound.value, upgraded: upgraded)
                    bound.value.socket = socket
                    try channel.pipeline.syncOperations.addHandler(socket)
                }
            }
            .connect(host: node.host, port: node.port).cascadeFailure(to: upgraded)
        return upgraded.futureResult
    }

    func sayHello() {
        hellos += 1
        greetedAt = .now
        let hello = RelayHello.with { hello in
            (hello.token, hello.device, hello.heartbeatSeconds) = (user.token, user.name, 60)
            guard let session, let position else { return }
            hello.session = session
            hello.resume = [.with { ($0.room, $0.position) = (user.room, position) }]
        }
        send(Self.helloID, .hello(hello))
    }

    /// Breaks the connection without a word.
    func drop() { socket?.drop() }

    private func send(_ id: UInt32, _ body: RelayClientFrame.OneOf_Frame) {
        var frame = RelayClientFrame()
        (frame.id, frame.frame) = (id, body)
        socket?.send(frame)
    }

    // MARK: What she sees

    func received(_ frame: RelayServerFrame) {
        switch frame.frame {
        case .welcome(let welcome): welcomed(welcome)
        case .error(let error) where frame.id == Self.helloID && error.code == .unavailable: refusal = error
        case .goodbye(let goodbye): self.goodbye = goodbye
        case .subscribed(let subscribed): entered(subscribed, isReply: frame.id == Self.subscribeID)
        case .message(let message): heard(message)
        default: complain("got \(frame)")
        }
    }

    private func welcomed(_ welcome: RelayWelcome) {
        let waited = greetedAt.map { ContinuousClock.now - $0 } ?? .zero
        weather.note(.init(user: user.name, isResume: session != nil, at: .now, waited: waited, hellos: hellos))
        if welcome.session.isEmpty || welcome.session == session { complain("the session is called \(welcome.session)") }
        defer { session = welcome.session }
        guard session != nil else { return send(Self.subscribeID, .subscribe(.with { $0.room = user.room })) }
        guard let resumed = welcome.resumed.first, welcome.resumed.count == 1, resumed.room == user.room, !resumed.hasError else {
            return complain("resumed \(welcome.resumed)")
        }
        awaitsRoom = resumed.pending
        weather.noteRoom(isPending: resumed.pending)
        guard !resumed.pending else { return }
        if !resumed.recovered { complain("was not recovered") }
        isIn = true
        settle()
    }

    private func entered(_ subscribed: RelaySubscribed, isReply: Bool) {
        if isReply, position == nil {
            position = subscribed.head
        } else if !awaitsRoom || !subscribed.recovered {
            complain("got \(subscribed)")
        }
        awaitsRoom = false
        isIn = true
        settle()
    }

    /// The next one and no other: once, in order, none left out.
    private func heard(_ message: RelayMessage) {
        guard isIn, message.room == user.room, let last = position, message.position.epoch >= last.epoch,
            message.position.seq == last.seq + 1 || last.seq == 0
        else { return complain("heard \(message.position) behind \(position ?? .init())") }
        position = message.position
        settle()
    }

    func closed(_ closed: StormSocket, code: UInt16?) {
        guard closed === socket else { return }
        socket = nil
        isIn = false
        settle()
        guard let refusal, let goodbye else {
            if let code { complain("was closed with \(code)") }
            return
        }
        weather.note(
            Weather.Refusal(
                isResume: session != nil, node: node.index, at: .now, retryAfterMs: refusal.retryAfterMs, goodbye: goodbye, closeCode: code)
        )
        (self.refusal, self.goodbye) = (nil, nil)
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(Int64(goodbye.afterMs))) { bound.value.comeAgain() }
    }

    private func comeAgain() {
        dial().assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success: sayHello()
            case .failure(let error): complain("cannot come again: \(error)")
            }
        }
    }
}

/// Where clients of a storm come to.
struct StormNode: Sendable {
    /// Among those of the storm.
    var index: Int
    var host: String
    var port: Int
}

/// A connection of a `StormClient`.
final class StormSocket: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let encoding = FrameEncoding.protobuf
    private static let messageBytesMax = 4 << 20

    private let client: StormClient
    private let upgraded: EventLoopPromise<Void>
    private var context: ChannelHandlerContext?
    private var isUpgraded = false
    private var inbox = ByteBuffer()
    private var parser = WebSocketParser(role: .client, messageBytesMax: messageBytesMax)
    private var closeCode: UInt16?

    init(client: StormClient, upgraded: EventLoopPromise<Void>) {
        self.client = client
        self.upgraded = upgraded
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        var request = ByteBuffer()
        WebSocketHandshake.appendRequest(
            host: "localhost", path: "/v1/ws", key: "dGhlIHNhbXBsZSBub25jZQ==", subprotocols: Self.encoding.subprotocol.map { [$0] } ?? [],
            to: &request)
        write(request)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        if !isUpgraded { readHead() }
        while isUpgraded, let event = parser.next(&inbox) { handle(event) }
        if inbox.readableBytes == 0 { inbox = ByteBuffer() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        if !isUpgraded { upgraded.fail(SystemTestError("no upgrade")) }
        client.closed(self, code: closeCode)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func readHead() {
        guard let head = try? HandshakeHead.take(from: &inbox, bytesMax: 16 << 10), head.statusCode == 101 else { return }
        isUpgraded = true
        upgraded.succeed()
    }

    private func handle(_ event: WebSocketParser.Event) {
        switch event {
        case .text(let payload), .binary(let payload):
            let frames = (try? ServerFrameDecoder.decode(payload, encoding: Self.encoding, frameBytesMax: Self.messageBytesMax)) ?? []
            for frame in frames { client.received(frame) }
        case .ping(let payload):
            var pong = ByteBuffer()
            WebSocketFrames.appendPong(payload, mask: 7, to: &pong)
            write(pong)
        case .pong: break
        case .close(let code, _):
            closeCode = code
            var answer = ByteBuffer()
            WebSocketFrames.appendClose(code: code, mask: 7, to: &answer)
            write(answer)
            context?.close(mode: .output, promise: nil)
        case .violation(let violation):
            client.weather.complain("the relay broke the protocol: \(violation)")
            drop()
        }
    }

    func send(_ frame: RelayClientFrame) {
        var payload = ByteBuffer()
        var bytes = ByteBuffer()
        guard (try? ClientFrameEncoder.append(frame, encoding: Self.encoding, to: &payload)) != nil else { return }
        WebSocketFrames.append(Self.encoding.opcode, payload, mask: 0x0102_0304, to: &bytes)
        write(bytes)
    }

    private func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    func drop() { context?.close(promise: nil) }
}
