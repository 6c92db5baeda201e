import NIOCore
import Wire

/// The head of an HTTP message. The cuts do not change what is read, and it never costs more than the limit.
enum HandshakeHeadsTarget {
    private static let bytesMax = 1000

    private enum Outcome: Equatable {
        case head(startLine: String, names: [String], values: [String], statusCode: Int?)
        case fault(HandshakeHead.Fault)
        case incomplete
    }

    static func run(_ input: FuzzInput) {
        var arrived = ByteBuffer()
        var outcome = Outcome.incomplete
        for piece in input.pieces where outcome == .incomplete {
            arrived.writeImmutableBuffer(piece)
            outcome = take(&arrived)
        }
        var whole = input.bytes
        require(take(&whole) == outcome, "cuts change the head: \(outcome)")
        require(outcome != .incomplete || whole.readableBytes <= bytesMax, "more is held than the limit")
    }

    private static func take(_ buffer: inout ByteBuffer) -> Outcome {
        do {
            guard let head = try HandshakeHead.take(from: &buffer, bytesMax: bytesMax) else { return .incomplete }
            return .head(
                startLine: head.startLine, names: head.fields.map(\.name), values: head.fields.map(\.value), statusCode: head.statusCode)
        } catch {
            return .fault(error)
        }
    }
}
