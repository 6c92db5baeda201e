import NIOCore
import Testing
import Wire

@testable import Benchmarks

/// What is counted does not depend on how it is cut.
private let cuts = [1, 2, 3, 7, 100, 4096, 1 << 20]

private func message(_ text: String) -> RelayServerFrame {
    var frame = RelayServerFrame()
    frame.message.room = "a room of some length"
    frame.message.text = text
    return frame
}

private func count(_ bytes: [UInt8], by size: Int, with counter: inout DeliveryCounter) -> Int {
    stride(from: 0, to: bytes.count, by: size).reduce(0) { sum, start in
        sum + bytes[start..<min(bytes.count, start + size)].withUnsafeBytes { counter.count($0) }
    }
}

@Suite struct WebSocketCounterTests {
    /// Batches of several sizes with pings between them.
    private func batches(_ encoding: FrameEncoding) throws -> (bytes: [UInt8], messages: Int, frames: Int) {
        var buffer = ByteBuffer()
        let batches = [1, 3, 40, 400]
        for batch in batches {
            let start = WebSocketBatch.reserveHeader(in: &buffer)
            for number in 0..<batch {
                if number > 0 { encoding.appendSeparator(to: &buffer) }
                try ServerFrameEncoder.append(message(String(repeating: "a\n", count: number)), encoding: encoding, to: &buffer)
            }
            WebSocketBatch.sealFrame(in: &buffer, start: start, opcode: encoding.opcode)
            WebSocketFrames.appendPing(ByteBuffer(string: "\n\n"), to: &buffer)
        }
        return (Array(buffer.readableBytesView), batches.reduce(0, +), batches.count)
    }

    @Test(arguments: cuts) func countsWhatIsThereHoweverItArrives(size: Int) throws {
        for encoding in FrameEncoding.webSocket {
            let (bytes, messages, frames) = try batches(encoding)
            for (unit, expected) in [(encoding == .json ? PayloadCounter.Unit.line : .delimited, messages), (.frame, frames)] {
                var counter = DeliveryCounter(unit: unit, isFramed: true)
                let counted = count(bytes, by: size, with: &counter)
                #expect(counted == expected)
                let pings = [counter.takePings(), counter.takePings()]
                #expect(pings == [4, 0])
                #expect(!counter.isBroken)
            }
        }
    }

    @Test func aCloseOrAMaskedFrameBreaksTheConnection() {
        for bytes in [[0x88, 0x00], [0x81, 0x80]] as [[UInt8]] {
            var counter = DeliveryCounter(unit: .frame, isFramed: true)
            _ = bytes.withUnsafeBytes { counter.count($0) }
            #expect(counter.isBroken)
        }
    }
}

@Suite struct StreamCounterTests {
    /// Messages of many sizes; after each third one the server says something else.
    private func stream(_ encoding: FrameEncoding) throws -> (bytes: [UInt8], messages: Int) {
        var pong = RelayServerFrame()
        pong.pong = .init()
        var buffer = ByteBuffer()
        for number in 0..<300 {
            try ServerFrameEncoder.append(message(String(repeating: "\n", count: number)), encoding: encoding, to: &buffer)
            encoding.appendSeparator(to: &buffer)
            guard number % 3 == 0 else { continue }
            try ServerFrameEncoder.append(pong, encoding: encoding, to: &buffer)
            encoding.appendSeparator(to: &buffer)
        }
        return (Array(buffer.readableBytesView), 300)
    }

    @Test(arguments: cuts) func countsMessagesAndNotWhatElseIsSaid(size: Int) throws {
        for (encoding, unit) in [(FrameEncoding.json, PayloadCounter.Unit.line), (.grpc, .prefixed)] {
            let (bytes, messages) = try stream(encoding)
            var counter = DeliveryCounter(unit: unit, isFramed: false)
            let counted = count(bytes, by: size, with: &counter)
            #expect(counted == messages)
        }
    }

    /// A message of 16 MiB has a length of four bytes, on the wire of both binary encodings.
    @Test func lengthsHaveManyBytes() {
        let prefixed: [UInt8] = [0, 0x01, 0, 0, 0]
        let delimited: [UInt8] = [0x80, 0x80, 0x80, 0x08]
        for (unit, header) in [(PayloadCounter.Unit.prefixed, prefixed), (.delimited, delimited)] {
            var counter = PayloadCounter(unit: unit)
            let before = (header + [UInt8](repeating: 7, count: (16 << 20) - 1)).withUnsafeBytes { counter.count($0) }
            let last = ([7] as [UInt8]).withUnsafeBytes { counter.count($0) }
            #expect([before, last] == [0, 1])
        }
    }
}
