import MeshCore
import NIOCore
import Testing

@testable import Wire

private typealias Event = WebSocketParser.Event

/// Every event of a byte stream that arrives in the given pieces.
private func events(_ pieces: [ArraySlice<UInt8>], role: WebSocketParser.Role, messageBytesMax: Int = 1 << 20) -> [Event] {
    var parser = WebSocketParser(role: role, messageBytesMax: messageBytesMax)
    var buffer = ByteBuffer()
    var events: [Event] = []
    for piece in pieces {
        buffer.writeBytes(piece)
        while let event = parser.next(&buffer) { events.append(event) }
    }
    return events
}

private func events(_ bytes: [UInt8], role: WebSocketParser.Role = .client, messageBytesMax: Int = 1 << 20) -> [Event] {
    events([bytes[...]], role: role, messageBytesMax: messageBytesMax)
}

private func bytes(_ build: (inout ByteBuffer) -> Void) -> [UInt8] {
    var buffer = ByteBuffer()
    build(&buffer)
    return Array(buffer.readableBytesView)
}

@Suite struct WebSocketParserTests {
    // RFC 6455, section 5.7.
    @Test func examplesOfTheStandard() {
        let hello: [UInt8] = [0x48, 0x65, 0x6C, 0x6C, 0x6F]
        #expect(events([0x81, 0x05] + hello) == [.text(ByteBuffer(string: "Hello"))])
        let masked: [UInt8] = [0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        #expect(events([0x81] + masked, role: .server) == [.text(ByteBuffer(string: "Hello"))])
        #expect(events([0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F]) == [.text(ByteBuffer(string: "Hello"))])
        #expect(events([0x89, 0x05] + hello) == [.ping(ByteBuffer(string: "Hello"))])
        #expect(events([0x8A] + masked, role: .server) == [.pong(ByteBuffer(string: "Hello"))])
        let data = [UInt8](repeating: 7, count: 256)
        #expect(events([0x82, 0x7E, 0x01, 0x00] + data) == [.binary(ByteBuffer(bytes: data))])
        let large = [UInt8](repeating: 9, count: 65_536)
        #expect(events([0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + large) == [.binary(ByteBuffer(bytes: large))])
    }

    @Test func controlFramesMayStandBetweenFragments() {
        let stream: [UInt8] = [0x01, 1, 0x61, 0x89, 1, 0x70, 0x00, 1, 0x62, 0x8A, 0, 0x80, 1, 0x63]
        #expect(events(stream) == [.ping(ByteBuffer(string: "p")), .pong(ByteBuffer()), .text(ByteBuffer(string: "abc"))])
    }

    static let violations: [([UInt8], WebSocketViolation)] = [
        ([0xC1, 0], .reservedBits), ([0xA1, 0], .reservedBits), ([0x91, 0], .reservedBits),
        ([0x83, 0], .reservedOpcode), ([0x87, 0], .reservedOpcode), ([0x8B, 0], .reservedOpcode), ([0x8F, 0], .reservedOpcode),
        ([0x81, 0x80, 0, 0, 0, 0], .maskedByServer),
        ([0x09, 0], .fragmentedControl), ([0x08, 0], .fragmentedControl),
        ([0x89, 126, 0, 126], .controlTooLong), ([0x88, 127], .controlTooLong),
        ([0x81, 126, 0, 125], .lengthNotMinimal), ([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .lengthNotMinimal),
        ([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], .messageTooLarge),
        ([0x80, 0], .strayContinuation), ([0x00, 0], .strayContinuation),
        ([0x01, 0, 0x81, 0], .messageInsideMessage), ([0x02, 0, 0x02, 0], .messageInsideMessage),
        ([0x81, 1, 0xFF], .invalidText), ([0x81, 2, 0xC3, 0x28], .invalidText), ([0x81, 1, 0xC3], .invalidText),
        ([0x81, 3, 0xED, 0xA0, 0x80], .invalidText), ([0x81, 4, 0xF4, 0x90, 0x80, 0x80], .invalidText),
        ([0x81, 2, 0xC0, 0x80], .invalidText), ([0x81, 3, 0xE0, 0x80, 0x80], .invalidText),
        ([0x88, 1, 3], .invalidCloseCode),
        ([0x88, 2, 0x03, 0xE7], .invalidCloseCode), ([0x88, 2, 0x03, 0xED], .invalidCloseCode), ([0x88, 2, 0x03, 0xEE], .invalidCloseCode),
        ([0x88, 2, 0x03, 0xF7], .invalidCloseCode), ([0x88, 2, 0x07, 0xD0], .invalidCloseCode), ([0x88, 2, 0x13, 0x88], .invalidCloseCode),
        ([0x88, 3, 0x03, 0xE8, 0xFF], .invalidCloseReason),
        ([0x82, 126, 0x04, 0x01], .messageTooLarge),
    ]

    @Test(arguments: violations) func refuses(_ stream: [UInt8], _ violation: WebSocketViolation) {
        let found = events(stream + [0x81, 0], messageBytesMax: 1024)
        #expect(found.last == .violation(violation), "\(stream)")
        #expect(found.filter { $0 != .violation(violation) }.isEmpty, "nothing follows a violation")
    }

    @Test func aClientMustMask() {
        #expect(events([0x81, 0], role: .server) == [.violation(.unmaskedByClient)])
    }

    @Test func closeCodesAndReasons() {
        for code: UInt16 in [1000, 1003, 1007, 1014, 3000, 4000, 4999] {
            let stream = bytes { WebSocketFrames.appendClose(code: code, reason: "bye ☂", to: &$0) }
            #expect(events(stream + [0x81, 1, 0x61]) == [.close(code: code, reason: "bye ☂")])
        }
        #expect(events(bytes { WebSocketFrames.appendClose(code: nil, to: &$0) }) == [.close(code: nil, reason: "")])
    }

    @Test func longReasonsAreCutAtACharacter() {
        let stream = bytes { WebSocketFrames.appendClose(code: 4000, reason: String(repeating: "☂", count: 100), to: &$0) }
        #expect(stream.count <= 127)
        #expect(events(stream) == [.close(code: 4000, reason: String(repeating: "☂", count: 41))])
    }

    @Test func anAnnouncedLengthAboveTheLimitIsRefusedBeforeItsMaskOrPayload() {
        #expect(events([0x82, 0xFE, 0x04, 0x01], role: .server, messageBytesMax: 1024) == [.violation(.messageTooLarge)])
        let fragments: [UInt8] = [0x02, 126, 0x03, 0xFF] + [UInt8](repeating: 0, count: 1023) + [0x00, 1, 0] + [0x00, 1]
        #expect(events(fragments, messageBytesMax: 1024) == [.violation(.messageTooLarge)])
    }

    @Test func theLimitMayChangeBetweenMessages() {
        var parser = WebSocketParser(role: .client, messageBytesMax: 4)
        var buffer = ByteBuffer(bytes: [0x82, 4, 1, 2, 3, 4, 0x82, 3, 1, 2, 3])
        #expect(parser.next(&buffer) == .binary(ByteBuffer(bytes: [1, 2, 3, 4])))
        parser.messageBytesMax = 2
        #expect(parser.next(&buffer) == .violation(.messageTooLarge))
        #expect(buffer.readableBytes == 0)
    }

    @Test func endlessEmptyFragmentsAreRefused() {
        let empty: [UInt8] = Array(repeatElement([0x00, 0] as [UInt8], count: WebSocketParser.emptyFragmentsMax - 1).joined())
        #expect(events([0x01, 0] + empty + [0x80, 1, 0x61]) == [.text(ByteBuffer(string: "a"))])
        #expect(events([0x01, 0] + empty + [0x80, 0]) == [.violation(.tooManyEmptyFragments)])
        let twice = [0x01, 0] + empty + [0x80, 1, 0x61]
        #expect(events(twice + twice).count == 2, "every message counts anew")
    }

    @Test func fragmentsWithPayloadAreBoundedByTheirBytesAlone() {
        let count = 70_000
        let stream: [UInt8] = [0x02, 1, 7] + Array(repeatElement([0x00, 1, 7] as [UInt8], count: count - 2).joined()) + [0x80, 1, 7]
        #expect(events(stream) == [.binary(ByteBuffer(repeating: 7, count: count))])
        #expect(events(stream, messageBytesMax: count - 1) == [.violation(.messageTooLarge)])
    }

    @Test func everySplitOfAStreamGivesTheSameEvents() {
        let stream = bytes { buffer in
            WebSocketFrames.append(.text, ByteBuffer(string: "grüße"), mask: 0xDEAD_BEEF, to: &buffer)
            WebSocketFrames.appendPing(ByteBuffer(string: "p"), mask: 1, to: &buffer)
            WebSocketFrames.append(.binary, ByteBuffer(repeating: 3, count: 130), mask: 0x0102_0304, to: &buffer)
            WebSocketFrames.appendClose(code: 1000, reason: "ok", mask: 0xFFFF_FFFF, to: &buffer)
        }
        let whole = events(stream, role: .server)
        #expect(whole.count == 4)
        for first in 0...stream.count {
            for second in first...stream.count {
                let pieces = [stream[..<first], stream[first..<second], stream[second...]]
                #expect(events(pieces, role: .server) == whole, "split at \(first), \(second)")
            }
        }
    }

    @Test(arguments: 0..<50) func randomStreamsSurviveRandomSplits(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var expected: [Event] = []
        let stream = bytes { buffer in
            for _ in 0..<20 { expected.append(appendRandomMessage(to: &buffer, using: &random)) }
        }
        var pieces: [ArraySlice<UInt8>] = []
        var index = 0
        while index < stream.count {
            let end = min(stream.count, index + Int.random(in: 1...700, using: &random))
            pieces.append(stream[index..<end])
            index = end
        }
        #expect(events(pieces, role: .server) == expected)
    }

    @Test(arguments: 0..<200) func noiseNeverTraps(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let noise = (0..<400).map { _ in UInt8.random(in: 0...255, using: &random) }
        for role in [WebSocketParser.Role.client, .server] {
            let found = events([noise[..<200], noise[200...]], role: role, messageBytesMax: 64)
            #expect(found.count <= 200)
        }
    }

    @Test func anIdleParserIsSmall() {
        #expect(MemoryLayout<WebSocketParser>.size <= 64)
    }
}

private func appendRandomMessage(to buffer: inout ByteBuffer, using random: inout SeededRandom) -> Event {
    let mask = UInt32.random(in: 0...UInt32.max, using: &random)
    let size = Int.random(in: 0...[5, 200, 70_000][Int.random(in: 0..<3, using: &random)], using: &random)
    let payload = ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 32...126, using: &random) })
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
        var rest = payload
        let head = rest.readSlice(length: size / 2) ?? ByteBuffer()
        WebSocketFrames.append(.text, head, rest, mask: mask, to: &buffer)
        return .text(payload)
    case 1:
        appendFragmented(payload, mask: mask, to: &buffer, using: &random)
        return .binary(payload)
    default:
        let ping = payload.getSlice(at: 0, length: min(size, 125)) ?? payload
        WebSocketFrames.appendPing(payload, mask: mask, to: &buffer)
        return .ping(ping)
    }
}

private func appendFragmented(_ payload: ByteBuffer, mask: UInt32, to buffer: inout ByteBuffer, using random: inout SeededRandom) {
    var rest = payload
    var opcode = WebSocketOpcode.binary
    repeat {
        let part = rest.readSlice(length: Int.random(in: 0...rest.readableBytes, using: &random)) ?? ByteBuffer()
        let start = buffer.writerIndex
        WebSocketFrames.append(opcode, part, mask: mask, to: &buffer)
        if rest.readableBytes > 0 { buffer.setInteger(opcode.rawValue, at: start) }
        opcode = .continuation
    } while rest.readableBytes > 0
}
