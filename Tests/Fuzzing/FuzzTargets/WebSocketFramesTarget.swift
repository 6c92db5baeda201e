import MeshCore
import NIOCore
import Wire

/// WebSocket frames in either role, with and without permessage-deflate.
///
/// The cuts of a stream do not change its events; no message is above the limit; text is UTF-8; nothing follows a close or a
/// violation; and what the frame writer makes of the events is read as the same events again.
enum WebSocketFramesTarget {
    private typealias Event = WebSocketParser.Event

    private struct Settings {
        var role: WebSocketParser.Role
        var messageBytesMax: Int
        var isCompressed: Bool
    }

    static func run(_ input: FuzzInput) {
        var input = input
        let settings = Settings(
            role: input.option(of: [.server, .client]), messageBytesMax: input.option(of: [1 << 16, 0, 100, 2000]),
            isCompressed: input.option(2) == 1)
        let whole = events([input.bytes], settings)
        require(whole == events(input.pieces, settings), "cuts change the events: \(whole)")
        require(whole.dropLast().allSatisfy { !isLast($0) }, "something follows the last event")
        for event in whole { check(event, settings) }
        let readable = whole.filter { if case .violation = $0 { false } else { true } }
        require(
            events([frames(of: readable, seed: input.seed, settings)], settings) == readable, "the writer's frames are read differently")
    }

    private static func events(_ pieces: [ByteBuffer], _ settings: Settings) -> [Event] {
        var parser = WebSocketParser(
            role: settings.role, messageBytesMax: settings.messageBytesMax, inflater: settings.isCompressed ? WebSocketInflater() : nil)
        var buffer = ByteBuffer()
        var events: [Event] = []
        for piece in pieces {
            buffer.writeImmutableBuffer(piece)
            while let event = parser.next(&buffer) { events.append(event) }
            require(buffer.readableBytes == 0 || !(events.last.map(isLast) ?? false), "a finished parser keeps bytes")
            buffer.discardReadBytes()
        }
        return events
    }

    private static func isLast(_ event: Event) -> Bool {
        switch event {
        case .close, .violation: true
        case .text, .binary, .ping, .pong: false
        }
    }

    private static func check(_ event: Event, _ settings: Settings) {
        switch event {
        case .text(let payload):
            require(payload.readableBytes <= settings.messageBytesMax, "text above the limit")
            require(String(validating: payload.readableBytesView, as: UTF8.self) != nil, "text is not UTF-8")
        case .binary(let payload):
            require(payload.readableBytes <= settings.messageBytesMax, "a message above the limit")
        case .ping(let payload), .pong(let payload):
            require(payload.readableBytes <= WebSocketFrames.controlBytesMax, "a control frame above 125 bytes")
        case .close(let code, _):
            require(code.map(WebSocketCloseCode.mayBeReceived) ?? true, "a close code that nobody may send")
        case .violation(let violation):
            require([1002, 1007, 1009].contains(violation.code), "a violation with code \(violation.code)")
        }
    }

    private static func frames(of events: [Event], seed: UInt64, _ settings: Settings) -> ByteBuffer {
        var random = SeededRandom(seed: seed)
        let deflater = settings.isCompressed ? WebSocketDeflater(windowBits: Int.random(in: 9...15, using: &random)) : nil
        var buffer = ByteBuffer()
        for event in events {
            let mask = settings.role == .server ? UInt32.random(in: 0...UInt32.max, using: &random) : nil
            append(event, mask: mask, deflater: deflater, to: &buffer)
        }
        return buffer
    }

    private static func append(_ event: Event, mask: UInt32?, deflater: WebSocketDeflater?, to buffer: inout ByteBuffer) {
        switch event {
        case .text(let payload): append(.text, payload, mask: mask, deflater: deflater, to: &buffer)
        case .binary(let payload): append(.binary, payload, mask: mask, deflater: deflater, to: &buffer)
        case .ping(let payload): WebSocketFrames.appendPing(payload, mask: mask, to: &buffer)
        case .pong(let payload): WebSocketFrames.appendPong(payload, mask: mask, to: &buffer)
        case .close(let code, let reason): WebSocketFrames.appendClose(code: code, reason: reason, mask: mask, to: &buffer)
        case .violation: break
        }
    }

    private static func append(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, mask: UInt32?, deflater: WebSocketDeflater?, to buffer: inout ByteBuffer
    ) {
        guard let deflater else { return WebSocketFrames.append(opcode, payload, mask: mask, to: &buffer) }
        guard mask == nil else { return WebSocketFrames.appendCompressed(opcode, payload, mask: mask, deflater: deflater, to: &buffer) }
        let start = WebSocketBatch.reserveHeader(in: &buffer)
        buffer.writeImmutableBuffer(payload)
        WebSocketBatch.sealCompressedFrame(in: &buffer, start: start, opcode: opcode, deflater: deflater)
    }
}
