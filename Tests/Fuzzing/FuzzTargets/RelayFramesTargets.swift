import NIOCore
import Wire

private let frameBytesMax = 4096

/// The frames of one WebSocket message, as a relay reads them from clients.
///
/// What was read can be written, and is read as the same frames again. JSON keeps less than protobuf (fields that this schema does
/// not know), so a list is compared after it has been through JSON once.
enum ClientFramesTarget {
    static func run(_ input: FuzzInput) {
        var input = input
        let encoding = input.option(of: FrameEncoding.allCases)
        guard let frames = try? ClientFrameDecoder.decode(input.bytes, encoding: encoding, frameBytesMax: frameBytesMax) else { return }
        require(!frames.isEmpty, "a message without frames was accepted")
        require(decode(encode(frames, encoding), encoding) == frames, "frames change in their own encoding")
        let known = decode(encode(frames, .json), .json)
        require(known.count == frames.count, "frames are lost in JSON")
        require(decode(encode(known, .protobuf), .protobuf) == known, "frames change in protobuf")
        require(decode(encode(known, .json), .json) == known, "frames change in JSON")
    }

    private static func encode(_ frames: [RelayClientFrame], _ encoding: FrameEncoding) -> ByteBuffer {
        list(frames, encoding) { frame, buffer in try ClientFrameEncoder.append(frame, encoding: encoding, to: &buffer) }
    }

    private static func decode(_ payload: ByteBuffer, _ encoding: FrameEncoding) -> [RelayClientFrame] {
        (try? ClientFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: .max)) ?? []
    }
}

/// The same for what clients read from a relay. Message pushes take the hand-written JSON path.
enum ServerFramesTarget {
    static func run(_ input: FuzzInput) {
        var input = input
        let encoding = input.option(of: FrameEncoding.allCases)
        guard let frames = try? ServerFrameDecoder.decode(input.bytes, encoding: encoding, frameBytesMax: frameBytesMax) else { return }
        require(decode(encode(frames, encoding), encoding) == frames, "frames change in their own encoding")
        let known = decode(encode(frames, .json), .json)
        require(known.count == frames.count, "frames are lost in JSON")
        require(decode(encode(known, .protobuf), .protobuf) == known, "frames change in protobuf")
    }

    private static func encode(_ frames: [RelayServerFrame], _ encoding: FrameEncoding) -> ByteBuffer {
        list(frames, encoding) { frame, buffer in try ServerFrameEncoder.append(frame, encoding: encoding, to: &buffer) }
    }

    private static func decode(_ payload: ByteBuffer, _ encoding: FrameEncoding) -> [RelayServerFrame] {
        (try? ServerFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: .max)) ?? []
    }
}

private func list<Frame>(
    _ frames: [Frame], _ encoding: FrameEncoding, append: (Frame, inout ByteBuffer) throws -> Void
) -> ByteBuffer {
    var buffer = ByteBuffer()
    for (index, frame) in frames.enumerated() {
        if index > 0 { encoding.appendSeparator(to: &buffer) }
        require((try? append(frame, &buffer)) != nil, "a frame that was read cannot be written: \(frame)")
    }
    return buffer
}
