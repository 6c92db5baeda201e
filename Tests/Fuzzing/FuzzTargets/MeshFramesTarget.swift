import NIOCore

@testable import Transport

/// What a peer sends on a mesh link.
///
/// The cuts of a stream change neither its frames nor its fault; frames are written as they were read; and a message of the link
/// itself survives being written.
enum MeshFramesTarget {
    private static let frameBytesMax = 2000

    private struct Outcome: Equatable {
        var frames: [MeshFrameDecoder.Frame] = []
        var fault: MeshFrameDecoder.Fault?
    }

    static func run(_ input: FuzzInput) {
        let whole = decode([input.bytes])
        require(whole == decode(input.pieces), "cuts change the frames: \(whole)")
        var written = ByteBuffer()
        for frame in whole.frames {
            require(frame.payload.readableBytes < frameBytesMax, "a frame above the limit")
            MeshFraming.append(frame.lane, to: &written) { $0.writeImmutableBuffer(frame.payload) }
            checkMessage(frame.payload)
        }
        require(input.bytes.readableBytesView.starts(with: written.readableBytesView), "frames are written differently")
    }

    private static func decode(_ pieces: [ByteBuffer]) -> Outcome {
        var decoder = MeshFrameDecoder(frameBytesMax: frameBytesMax)
        var outcome = Outcome()
        for var piece in pieces where outcome.fault == nil {
            do throws(MeshFrameDecoder.Fault) {
                while let frame = try decoder.next(&piece) { outcome.frames.append(frame) }
                require(piece.readableBytes == 0, "bytes are left over")
            } catch {
                outcome.fault = error
            }
        }
        return outcome
    }

    private static func checkMessage(_ payload: ByteBuffer) {
        guard let message = try? LinkMessage(decoding: payload) else { return }
        var buffer = ByteBuffer()
        message.append(to: &buffer)
        let frames = decode([buffer]).frames
        require(frames.count == 1, "a message is not one frame")
        require(frames.first.flatMap { try? LinkMessage(decoding: $0.payload) } == message, "a message changes: \(message)")
    }
}
