import HeliographClient
import MeshCore
import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization
import TLS
import Wire

/// A relay as far as a client's test needs one: it opens one transport, decodes, and leaves every answer to the test.
final class FakeRelay: Sendable {
    typealias Script = @Sendable (RelayClientFrame, Peer) -> Void

    /// What the relay is like.
    struct Manner: Sendable {
        var door = Door.webSocket(.json)
        var tls: TLSContext?
        /// Otherwise it answers 503, or UNAVAILABLE to a call.
        var accepts = true
        /// Bytes that are sent instead of everything else.
        var greeting: [UInt8]?
    }

    /// What is spoken: the doors of the protocol.
    enum Door: Sendable {
        case webSocket(FrameEncoding)
        case webSocketOverHTTP2(FrameEncoding)
        case ndjson
        case grpc

        init(_ transport: ClientTransport) {
            switch transport {
            case .webSocket(let format): self = .webSocket(format.encoding == .json ? .json : .protobuf)
            case .webSocketOverHTTP2(let format): self = .webSocketOverHTTP2(format.encoding == .json ? .json : .protobuf)
            case .ndjson: self = .ndjson
            case .grpc: self = .grpc
            }
        }

        var encoding: FrameEncoding {
            switch self {
            case .webSocket(let encoding), .webSocketOverHTTP2(let encoding): encoding
            case .ndjson: .json
            case .grpc: .grpc
            }
        }

        var isWebSocket: Bool {
            switch self {
            case .webSocket, .webSocketOverHTTP2: true
            case .ndjson, .grpc: false
            }
        }
    }

    /// One connection, on its event loop.
    struct Peer: Sendable {
        let channel: any Channel
        let door: Door
        /// Counts connections from 1.
        let number: Int
        /// Whether an earlier TLS session was gone on with.
        let wasResumed: Bool

        func send(_ frames: RelayServerFrame...) {
            var payload = ByteBuffer()
            for frame in frames {
                if payload.readableBytes > 0 { door.encoding.appendSeparator(to: &payload) }
                try? ServerFrameEncoder.append(frame, encoding: door.encoding, to: &payload)
            }
            if !door.isWebSocket { door.encoding.appendSeparator(to: &payload) }
            channel.writeAndFlush(PeerOutput.frames(payload), promise: nil)
        }

        func reply(_ id: UInt32, _ build: (inout RelayServerFrame) -> Void) {
            var frame = RelayServerFrame()
            frame.id = id
            build(&frame)
            send(frame)
        }

        func sendBytes(_ bytes: ByteBuffer) { channel.writeAndFlush(PeerOutput.bytes(bytes), promise: nil) }
        func drop() { channel.close(promise: nil) }
        /// HTTP/2 only.
        func end(_ ending: PeerEnding) { channel.triggerUserOutboundEvent(ending, promise: nil) }

        func goodbye(_ code: UInt32, afterMs: UInt32 = 0, edges: [String] = []) {
            send(.with { $0.goodbye = .with { ($0.code, $0.reason, $0.afterMs, $0.edges) = (code, "test", afterMs, edges) } })
            drop()
        }
    }

    let url: String
    private let channel: any Channel

    private init(_ channel: any Channel, isEncrypted: Bool) {
        self.channel = channel
        url = (isEncrypted ? "wss" : "ws") + "://127.0.0.1:\(channel.localAddress?.port ?? 0)"
    }

    /// - Parameter script: called for every frame that a client sends.
    static func start(_ manner: Manner = Manner(), script: @escaping Script) async throws -> FakeRelay {
        let connections = Counter()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls = manner.tls { try pipeline.addHandler(TLSHandler(TLSSession(tls), handshakeTimeout: .seconds(10))) }
                    if let greeting = manner.greeting { return try pipeline.addHandler(Greeter(greeting)) }
                    if case .webSocket = manner.door {} else { try pipeline.addHandler(FakeHTTP2Handler(manner)) }
                    try pipeline.addHandler(PeerHandler(manner, number: connections.next(), script: script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FakeRelay(channel, isEncrypted: manner.tls != nil)
    }

    static func start(_ transport: ClientTransport, script: @escaping Script) async throws -> FakeRelay {
        try await start(Manner(door: Door(transport)), script: script)
    }

    func stop() async { try? await channel.close() }
}

final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
    var current: Int { value.load(ordering: .relaxed) }
}

/// What a script has seen, for the test to look at.
final class Seen<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])
    func add(_ element: Element) { elements.withLock { $0.append(element) } }
    var all: [Element] { elements.withLock { $0 } }
}

/// What a script sends; frames are put into WebSocket messages where it is known whether these may be compressed.
private enum PeerOutput: Sendable {
    case frames(ByteBuffer)
    case bytes(ByteBuffer)
}

/// Says one thing, whatever it hears.
private final class Greeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let greeting: [UInt8]

    init(_ greeting: [UInt8]) { self.greeting = greeting }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: greeting)), promise: nil)
    }
}

/// The session's end of a connection. On HTTP/1.1 it does the upgrade too.
private final class PeerHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = PeerOutput
    typealias OutboundOut = ByteBuffer

    private let manner: FakeRelay.Manner
    private let number: Int
    private let script: FakeRelay.Script
    private var parser: WebSocketParser?
    private var framing: StreamFraming
    private var deflater: WebSocketDeflater?
    private var inbox = ByteBuffer()
    private var wasResumed = false

    init(_ manner: FakeRelay.Manner, number: Int, script: @escaping FakeRelay.Script) {
        self.manner = manner
        self.number = number
        self.script = script
        framing = StreamFraming(manner.door.encoding, frameBytesMax: 1 << 20)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let secured as TLSHandshakeCompleted: wasResumed = secured.handshake.wasResumed
        case let opened as PeerStreamOpened: if manner.door.isWebSocket { beginWebSocket(opened.deflate) }
        case ChannelEvent.inputClosed: context.close(promise: nil)
        default: break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        inbox.writeBuffer(&bytes)
        if case .webSocket = manner.door, parser == nil { upgrade(context) }
        if manner.door.isWebSocket { readWebSocket(context) } else { readStream(context) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var bytes = ByteBuffer()
        switch unwrapOutboundIn(data) {
        case .bytes(let raw): bytes = raw
        case .frames(let payload) where !manner.door.isWebSocket: bytes = payload
        case .frames(let payload):
            let opcode = manner.door.encoding.opcode
            if let deflater {
                WebSocketFrames.appendCompressed(opcode, payload, deflater: deflater, to: &bytes)
            } else {
                WebSocketFrames.append(opcode, payload, to: &bytes)
            }
        }
        context.write(wrapOutboundOut(bytes), promise: promise)
    }

    private func readWebSocket(_ context: ChannelHandlerContext) {
        while let event = parser?.next(&inbox) {
            switch event {
            case .text(let payload), .binary(let payload): run(payload, context)
            case .close: context.close(promise: nil)
            default: break
            }
        }
    }

    private func readStream(_ context: ChannelHandlerContext) {
        while let payload = try? framing.next(&inbox) { run(payload, context) }
    }

    private func run(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        let peer = FakeRelay.Peer(channel: context.channel, door: manner.door, number: number, wasResumed: wasResumed)
        let frames = (try? ClientFrameDecoder.decode(payload, encoding: manner.door.encoding, frameBytesMax: 1 << 20)) ?? []
        for frame in frames { script(frame, peer) }
    }

    private func upgrade(_ context: ChannelHandlerContext) {
        guard let head = try? HandshakeHead.take(from: &inbox, bytesMax: 4096), let key = head.value("sec-websocket-key") else { return }
        var answer = ByteBuffer()
        if manner.accepts {
            let deflate = PermessageDeflate.accept(offers: head.values("sec-websocket-extensions"))
            WebSocketHandshake.appendResponse(
                key: key, subprotocol: head.value("sec-websocket-protocol"), extensions: deflate?.responseHeader, to: &answer)
            beginWebSocket(deflate)
        } else {
            answer.writeString("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        }
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
    }

    private func beginWebSocket(_ deflate: PermessageDeflate?) {
        parser = WebSocketParser(role: .server, messageBytesMax: 1 << 20, inflater: deflate == nil ? nil : WebSocketInflater())
        deflater = deflate.map { WebSocketDeflater(windowBits: $0.serverWindowBits) }
    }
}
