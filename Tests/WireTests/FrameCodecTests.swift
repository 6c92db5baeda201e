import Foundation
import MeshCore
import NIOCore
import SwiftProtobuf
import Testing

@testable import Wire

func decodeClient(_ text: String, frameBytesMax: Int = 65_536) throws -> [RelayClientFrame] {
    try ClientFrameDecoder.decode(ByteBuffer(string: text), encoding: .json, frameBytesMax: frameBytesMax)
}

@Suite struct FrameCodecTests {
    @Test func severalObjectsBlankLinesAndAPrettyPrintedOne() throws {
        let two = try decodeClient("{\"id\":1,\"ping\":{}}\n\n \r\n{\"id\":2,\"ping\":{}}\n")
        #expect(two.map(\.id) == [1, 2])
        let pretty = try decodeClient("{\n  \"id\": 7,\n  \"publish\": {\"room\": \"lobby\", \"text\": \"a\\nb\"}\n}\n")
        #expect(pretty.map(\.publish.text) == ["a\nb"])
    }

    @Test func bothFormsOf64BitIntegersAndUnknownFields() throws {
        let frames = try decodeClient(
            "{\"history\":{\"room\":\"r\",\"before\":{\"epoch\":\"4294967297\",\"seq\":12},\"new\":[{}]},\"later\":{\"x\":1}}")
        #expect(frames.first?.history.before.epoch == 4_294_967_297)
        #expect(frames.first?.history.before.seq == 12)
    }

    @Test func faults() {
        #expect(throws: FrameFault.malformed) { try decodeClient("{\"ping\":") }
        #expect(throws: FrameFault.malformed) { try decodeClient("[]") }
        #expect(throws: FrameFault.malformed) { try decodeClient("{\"ping\":{}}\nnonsense") }
        #expect(throws: FrameFault.malformed) { try decodeClient("{\"ping\":{},\"goodbye\":{}}") }
        #expect(throws: FrameFault.malformed) { try decodeClient("{\"publish\":{\"room\":3}}") }
        #expect(throws: FrameFault.noFrame) { try decodeClient("{\"id\":3}") }
        #expect(throws: FrameFault.noFrame) { try decodeClient("") }
        #expect(throws: FrameFault.tooLarge) { try decodeClient("{\"publish\":{\"text\":\"aaaaaaaaa\"}}", frameBytesMax: 10) }
    }

    @Test func protobufFaults() {
        func decode(_ bytes: [UInt8]) throws -> [RelayClientFrame] {
            try ClientFrameDecoder.decode(ByteBuffer(bytes: bytes), encoding: .protobuf, frameBytesMax: 100)
        }
        #expect(throws: FrameFault.malformed) { try decode([5, 8]) }
        #expect(throws: FrameFault.malformed) { try decode([0x80]) }
        #expect(throws: FrameFault.malformed) { try decode([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]) }
        #expect(throws: FrameFault.malformed) { try decode([2, 0xFF, 0xFF]) }
        #expect(throws: FrameFault.tooLarge) { try decode([101]) }
        #expect(throws: FrameFault.noFrame) { try decode([0]) }
        #expect(throws: FrameFault.noFrame) { try decode([]) }
    }

    @Test(arguments: FrameEncoding.webSocket) func listsOfFramesRoundTrip(encoding: FrameEncoding) throws {
        var frames: [RelayServerFrame] = []
        for id in UInt32(1)...5 {
            frames.append(
                .with {
                    $0.id = id * 1000
                    $0.published = .with {
                        $0.room = "lobby"
                        $0.duplicate = false
                        $0.at = 1_700_000_000_000
                    }
                })
        }
        frames.append(.with { $0.message = .with { $0.text = "hi" } })
        var payload = ByteBuffer()
        for frame in frames {
            if payload.readableBytes > 0 { encoding.appendSeparator(to: &payload) }
            try ServerFrameEncoder.append(frame, encoding: encoding, to: &payload)
        }
        #expect(try ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: 1 << 20) == frames)
    }

    @Test(arguments: FrameEncoding.webSocket) func clientFramesRoundTrip(encoding: FrameEncoding) throws {
        let frame = RelayClientFrame.with {
            $0.id = 9
            $0.publish = .with {
                $0.room = "r"
                $0.data = Data([0, 1, 255])
                $0.durability = .ephemeral
            }
        }
        var payload = ByteBuffer()
        try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
        #expect(try ClientFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: 1000) == [frame])
    }

    @Test func aClientIgnoresFramesOfANewerServer() throws {
        let payload = ByteBuffer(string: "{\"novelty\":{}}\n{\"pong\":{}}")
        #expect(try ServerFrameDecoder.decode(payload, encoding: .json, frameBytesMax: 1000).count == 1)
    }

    @Test func defaultsThatAreSetArePrinted() throws {
        var payload = ByteBuffer()
        let frame = RelayServerFrame.with {
            $0.id = 1
            $0.published = .with {
                $0.duplicate = false
                $0.durability = .home
                $0.position = .with {
                    $0.epoch = 1
                    $0.seq = 0
                }
            }
        }
        try ServerFrameEncoder.append(frame, encoding: .json, to: &payload)
        #expect(
            String(buffer: payload)
                == "{\"id\":1,\"published\":{\"position\":{\"epoch\":1,\"seq\":0},\"duplicate\":false,\"durability\":\"HOME\"}}")
    }
}

@Suite struct MessageJSONTests {
    @Test(arguments: 0..<300) func handWrittenEqualsSwiftProtobuf(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let message = randomMessage(using: &random)
        let frame = RelayServerFrame.with { $0.message = message }
        var written = ByteBuffer()
        MessageJSON.append(message, to: &written)

        let read = try ServerFrameDecoder.decode(written, encoding: .json, frameBytesMax: 1 << 20)
        #expect(read == [frame])
        var options = JSONEncodingOptions()
        options.alwaysPrintInt64sAsNumbers = true
        let reference = try JSONSerialization.jsonObject(with: try frame.jsonUTF8Bytes(options: options) as Data) as? NSDictionary
        let ours = try JSONSerialization.jsonObject(with: Data(written.readableBytesView)) as? NSDictionary
        #expect(ours != nil)
        #expect(ours == reference)
    }

    @Test(arguments: 0..<100) func handWrittenPublishedEqualsSwiftProtobuf(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var frame = RelayServerFrame()
        if Bool.random(using: &random) { frame.id = UInt32.random(in: 0 ... .max, using: &random) }
        frame.published = .with {
            if Bool.random(using: &random) { $0.room = "room \"☂\" \(seed)" }
            if Bool.random(using: &random) { $0.key = "k\n\(seed)" }
            if Bool.random(using: &random) { $0.position = .with { ($0.epoch, $0.seq) = (UInt64(seed), 9_007_199_254_740_991) } }
            if Bool.random(using: &random) { $0.at = Int64.random(in: -5...1_700_000_000_000, using: &random) }
            if Bool.random(using: &random) { $0.duplicate = Bool.random(using: &random) }
            if Bool.random(using: &random) { $0.durability = [.home, .mesh, .ephemeral].randomElement(using: &random) ?? .home }
        }
        var written = ByteBuffer()
        try ServerFrameEncoder.append(frame, encoding: .json, to: &written)
        #expect(try ServerFrameDecoder.decode(written, encoding: .json, frameBytesMax: 1 << 20) == [frame], "seed \(seed)")
        var options = JSONEncodingOptions()
        options.alwaysPrintInt64sAsNumbers = true
        let reference = try JSONSerialization.jsonObject(with: try frame.jsonUTF8Bytes(options: options) as Data) as? NSDictionary
        let ours = try JSONSerialization.jsonObject(with: Data(written.readableBytesView)) as? NSDictionary
        #expect(ours != nil && ours == reference, "seed \(seed)")
    }

    @Test func theFormOnTheWire() {
        var buffer = ByteBuffer()
        let message = RelayMessage.with {
            $0.room = "lobby"
            $0.position = .with {
                $0.epoch = 3
                $0.seq = 9_007_199_254_740_991
            }
            $0.from = "alice"
            $0.at = 1_700_000_000_000
            $0.text = "a\"\\\n\u{1}☂"
        }
        MessageJSON.append(message, to: &buffer)
        #expect(
            String(buffer: buffer)
                == #"{"message":{"room":"lobby","position":{"epoch":3,"seq":9007199254740991},"from":"alice","#
                + #""at":1700000000000,"text":"a\"\\\n\u0001☂"}}"#
        )
    }
}

func randomMessage(using random: inout SeededRandom) -> RelayMessage {
    var message = RelayMessage()
    if Bool.random(using: &random) { message.room = randomText(using: &random) }
    if Bool.random(using: &random) {
        message.position = RelayPosition()
        if Bool.random(using: &random) { message.position.epoch = UInt64.random(in: 0...(1 << 53), using: &random) }
        if Bool.random(using: &random) { message.position.seq = UInt64.random(in: 0...20, using: &random) }
    }
    if Bool.random(using: &random) { message.from = randomText(using: &random) }
    if Bool.random(using: &random) { message.device = randomText(using: &random) }
    if Bool.random(using: &random) { message.key = randomText(using: &random) }
    if Bool.random(using: &random) { message.at = Int64.random(in: -(1 << 53)...(1 << 53), using: &random) }
    switch Int.random(in: 0..<3, using: &random) {
    case 0: message.text = randomText(using: &random)
    case 1: message.data = Data((0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
    default: break
    }
    if Bool.random(using: &random) { message.contentType = randomText(using: &random) }
    for _ in 0..<Int.random(in: 0...3, using: &random) { message.headers[randomText(using: &random)] = randomText(using: &random) }
    return message
}

private func randomText(using random: inout SeededRandom) -> String {
    let ranges: [ClosedRange<UInt32>] = [0...0x1F, 0x20...0x7F, 0x80...0x7FF, 0x800...0xD7FF, 0xE000...0xFFFF, 0x10000...0x10FFFF]
    var text = ""
    for _ in 0..<Int.random(in: 0...12, using: &random) {
        let range = ranges[Int.random(in: 0..<ranges.count, using: &random)]
        if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.unicodeScalars.append(scalar) }
    }
    return text
}
