import MeshCore
import NIOCore
import NIOEmbedded
import TLS
import Testing

/// What a handler behind TLS sees.
private final class Witness: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    var events: [String] = []
    /// Written when the channel becomes active.
    var greeting: String?

    func channelActive(context: ChannelHandlerContext) {
        events.append("active")
        if let greeting { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: greeting)), promise: nil) }
    }
    func channelInactive(context: ChannelHandlerContext) { events.append("inactive") }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { events.append(String(buffer: unwrapInboundIn(data))) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { events.append((error as? TLSFault)?.label ?? "\(error)") }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is TLSHandshakeBegan: break
        case let completed as TLSHandshakeCompleted: events.append("completed \(completed.handshake.version.rawValue)")
        case is TLSTruncated: events.append("truncated")
        case ChannelEvent.inputClosed: events.append("input closed")
        default: events.append("\(event)")
        }
    }
}

@Suite("TLS in a pipeline")
struct HandlerTests {
    let certificates: Certificates
    private let server = EmbeddedChannel()
    private let witness = Witness()
    private let client: End

    init() throws {
        certificates = try Certificates()
        let context = try TLSContext.server(TLSServerSettings(certificates: [certificates.issue("relay.test")]))
        client = End(TLSSession(try .client(TLSClientSettings(trustFile: certificates.ca)), serverName: "relay.test"))
        try server.pipeline.syncOperations.addHandlers([TLSHandler(TLSSession(context), handshakeTimeout: .seconds(10)), witness])
    }

    private func connect() throws { try server.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait() }

    /// Hands over what both ends have to say.
    private func exchange() throws {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            if client.output.readableBytes > 0 {
                isQuiet = false
                try server.writeInbound(client.takeOutput())
            }
            while let sent = try server.readOutbound(as: ByteBuffer.self) {
                isQuiet = false
                client.receive(sent)
            }
        }
    }

    private func shake() throws {
        try connect()
        client.start()
        try exchange()
        #expect(client.session.handshake != nil)
    }

    @Test("handlers behind it become active with the handshake, and see text")
    func order() throws {
        try connect()
        #expect(witness.events.isEmpty)
        client.start()
        try exchange()
        try client.encrypt("hello")
        try exchange()
        #expect(witness.events == ["completed TLSv1.3", "active", "hello"])
        try server.writeOutbound(ByteBuffer(string: "answer"))
        try exchange()
        #expect(client.takeText() == "answer")
    }

    @Test("what is written early waits, in order, and its promises with it")
    func held() throws {
        try connect()
        witness.greeting = ", greeting"
        let first = server.writeAndFlush(ByteBuffer(string: "first "))
        server.write(ByteBuffer(string: "second"), promise: nil)
        #expect(try server.readOutbound(as: ByteBuffer.self) == nil)
        client.start()
        try exchange()
        #expect(client.takeText() == "first second, greeting")
        try first.wait()
    }

    @Test("more than may wait for a handshake is refused")
    func heldTooMuch() throws {
        try connect()
        let first = server.writeAndFlush(ByteBuffer(repeating: 0, count: TLSHandler.heldBytesMax))
        let second = server.writeAndFlush(ByteBuffer(repeating: 0, count: 1))
        #expect(throws: TLSFault.self) { try first.wait() }
        #expect(throws: TLSFault.self) { try second.wait() }
        #expect(witness.events.first == "not_ready")
        #expect(!server.isActive)
    }

    @Test("a handshake that does not come ends the connection")
    func timeout() throws {
        try connect()
        server.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(server.isActive)
        server.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!server.isActive)
        #expect(witness.events == ["handshake_timeout", "inactive"])
    }

    @Test("a handshake that is done has no deadline any more")
    func noTimeout() throws {
        try shake()
        server.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(server.isActive)
    }

    @Test("a fault is told after its alert was sent, and closes")
    func fault() throws {
        try connect()
        try server.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        #expect(witness.events == ["not_tls", "inactive"])
        #expect(!server.isActive)
        let damaged = try HandlerTests()
        try damaged.shake()
        try damaged.client.encrypt("text")
        var bytes = Array(damaged.client.takeOutput().readableBytesView)
        bytes[bytes.count - 1] ^= 1
        try damaged.server.writeInbound(ByteBuffer(bytes: bytes))
        let alert = try #require(try damaged.server.readOutbound(as: ByteBuffer.self))
        damaged.client.receive(alert)
        #expect(damaged.client.fault?.label == "alert_bad_record_mac")
        #expect(damaged.witness.events.suffix(2) == ["bad_record", "inactive"])
    }

    @Test("close says close_notify first")
    func closing() throws {
        try shake()
        server.close(promise: nil)
        try exchange()
        #expect(client.session.peerHasClosed)
        #expect(witness.events.suffix(1) == ["inactive"])
    }

    @Test("the peer's close_notify closes, and is answered")
    func closedByPeer() throws {
        try shake()
        try client.encrypt("last")
        client.session.close(output: &client.output)
        try exchange()
        #expect(!server.isActive)
        #expect(client.session.peerHasClosed)
        #expect(witness.events.suffix(2) == ["last", "inactive"])
    }

    @Test("where half-closure is allowed, close_notify closes the input once")
    func halfClosure() throws {
        try server.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        try shake()
        client.session.close(output: &client.output)
        try exchange()
        server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.isActive)
        #expect(witness.events.suffix(2) == ["active", "input closed"])
        try server.writeOutbound(ByteBuffer(string: "still here"))
        server.close(mode: .output, promise: nil)
        try exchange()
        #expect(client.takeText() == "still here")
        #expect(client.session.peerHasClosed)
    }

    @Test("an end without close_notify is told")
    func truncation() throws {
        try shake()
        server.pipeline.fireChannelInactive()
        #expect(witness.events.suffix(2) == ["truncated", "inactive"])
    }

    @Test("a client greets when it is connected, or when it is added later")
    func clients() throws {
        let context = try TLSContext.client(TLSClientSettings(trustFile: certificates.ca))
        let early = EmbeddedChannel(handler: TLSHandler(TLSSession(context, serverName: "relay.test"), handshakeTimeout: .seconds(1)))
        try early.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(try early.readOutbound(as: ByteBuffer.self)?.getInteger(at: 0, as: UInt8.self) == 0x16)
        let late = EmbeddedChannel()
        try late.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try late.pipeline.syncOperations.addHandler(
            TLSHandler(TLSSession(context, serverName: "relay.test"), handshakeTimeout: .seconds(1)))
        #expect(try late.readOutbound(as: ByteBuffer.self)?.getInteger(at: 0, as: UInt8.self) == 0x16)
    }
}
