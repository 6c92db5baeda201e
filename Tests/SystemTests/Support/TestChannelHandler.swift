import NIOCore
import Wire

/// A client's WebSocket that judges nothing and records everything. Without an upgrade it records plain bytes.
final class TestChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let recorder: Recorder
    private let encoding: FrameEncoding
    private let answersPings: Bool
    private var isUpgraded = false
    private var inbox = ByteBuffer()
    private var parser = WebSocketParser(role: .client, messageBytesMax: 16 << 20)

    init(recorder: Recorder, encoding: FrameEncoding, answersPings: Bool) {
        self.recorder = recorder
        self.encoding = encoding
        self.answersPings = answersPings
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        inbox.writeBuffer(&bytes)
        if !isUpgraded { readHead() }
        if isUpgraded { readMessages(context) }
        inbox.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) { recorder.update { $0.isClosed = true } }

    /// A reset is an end like any other.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func readHead() {
        let plain = Array(inbox.readableBytesView)
        if let head = try? HandshakeHead.take(from: &inbox, bytesMax: 16 << 10), head.statusCode == 101 { isUpgraded = true }
        recorder.update { record in
            record.plainBytes = plain
            record.isUpgraded = isUpgraded
        }
    }

    private func readMessages(_ context: ChannelHandlerContext) {
        while let event = parser.next(&inbox) {
            switch event {
            case .text(let payload), .binary(let payload): receive(payload)
            case .ping(let payload): pinged(payload, context)
            case .pong: break
            case .close(let code, let reason): closed(code, reason, context)
            case .violation(let violation):
                recorder.update { $0.closeReason = "the server broke the protocol: \(violation)" }
                context.close(promise: nil)
            }
        }
    }

    private func receive(_ payload: ByteBuffer) {
        let frames = (try? ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: 16 << 20)) ?? []
        recorder.received(frames)
    }

    private func pinged(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        recorder.update { $0.pings += 1 }
        guard answersPings else { return }
        var pong = ByteBuffer()
        WebSocketFrames.appendPong(payload, mask: 7, to: &pong)
        context.writeAndFlush(wrapOutboundOut(pong), promise: nil)
    }

    private func closed(_ code: UInt16?, _ reason: String, _ context: ChannelHandlerContext) {
        recorder.update { record in
            record.closeCode = code ?? 1005
            record.closeReason = reason
        }
        var answer = ByteBuffer()
        WebSocketFrames.appendClose(code: code, mask: 7, to: &answer)
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        // Nothing more to say: a server that has stopped reading frames need not wait for its timer.
        context.close(mode: .output, promise: nil)
    }
}
