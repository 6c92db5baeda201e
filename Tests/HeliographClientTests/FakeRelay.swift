import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization
import Wire

/// A relay as far as a client's test needs one: it upgrades, decodes, and leaves every answer to the test.
final class FakeRelay: Sendable {
    typealias Script = @Sendable (RelayClientFrame, Peer) -> Void

    /// One connection, on its event loop.
    struct Peer: Sendable {
        let channel: any Channel
        let encoding: FrameEncoding
        /// Counts connections from 1.
        let number: Int

        func send(_ frames: RelayServerFrame...) {
            var payload = ByteBuffer()
            for frame in frames {
                if payload.readableBytes > 0 { encoding.appendSeparator(to: &payload) }
                try? ServerFrameEncoder.append(frame, encoding: encoding, to: &payload)
            }
            var message = ByteBuffer()
            WebSocketFrames.append(encoding.opcode, payload, to: &message)
            sendBytes(message)
        }

        func reply(_ id: UInt32, _ build: (inout RelayServerFrame) -> Void) {
            var frame = RelayServerFrame()
            frame.id = id
            build(&frame)
            send(frame)
        }

        func sendBytes(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }
        func drop() { channel.close(promise: nil) }

        func goodbye(_ code: UInt32, afterMs: UInt32 = 0, edges: [String] = []) {
            send(.with { $0.goodbye = .with { ($0.code, $0.reason, $0.afterMs, $0.edges) = (code, "test", afterMs, edges) } })
            drop()
        }
    }

    let url: String
    private let channel: any Channel

    private init(_ channel: any Channel) {
        self.channel = channel
        url = "ws://127.0.0.1:\(channel.localAddress?.port ?? 0)"
    }

    /// - Parameter script: called for every frame that a client sends.
    static func start(encoding: FrameEncoding = .json, acceptsUpgrade: Bool = true, script: @escaping Script) async throws -> FakeRelay {
        let connections = Counter()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = PeerHandler(
                        encoding: encoding, acceptsUpgrade: acceptsUpgrade, number: connections.next(), script: script)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FakeRelay(channel)
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

private final class PeerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let encoding: FrameEncoding
    private let acceptsUpgrade: Bool
    private let number: Int
    private let script: FakeRelay.Script
    private var parser: WebSocketParser?
    private var inbox = ByteBuffer()

    init(encoding: FrameEncoding, acceptsUpgrade: Bool, number: Int, script: @escaping FakeRelay.Script) {
        self.encoding = encoding
        self.acceptsUpgrade = acceptsUpgrade
        self.number = number
        self.script = script
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        inbox.writeBuffer(&bytes)
        if parser == nil { upgrade(context) }
        let peer = FakeRelay.Peer(channel: context.channel, encoding: encoding, number: number)
        while let event = parser?.next(&inbox) {
            switch event {
            case .text(let payload), .binary(let payload):
                let frames = (try? ClientFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: 1 << 20)) ?? []
                for frame in frames { script(frame, peer) }
            case .close: context.close(promise: nil)
            default: break
            }
        }
    }

    private func upgrade(_ context: ChannelHandlerContext) {
        guard let head = try? HandshakeHead.take(from: &inbox, bytesMax: 4096), let key = head.value("sec-websocket-key") else { return }
        var answer = ByteBuffer()
        if acceptsUpgrade {
            WebSocketHandshake.appendResponse(key: key, subprotocol: head.value("sec-websocket-protocol"), to: &answer)
            parser = WebSocketParser(role: .server, messageBytesMax: 1 << 20)
        } else {
            answer.writeString("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        }
        context.writeAndFlush(NIOAny(answer), promise: nil)
    }
}
