public import NIOCore
import SwiftProtobuf

/// Reads what clients send; the server's half.
public enum ClientFrameDecoder {
    /// The frames of one WebSocket message, or of one cut of `StreamFraming`, in their order; at least one.
    public static func decode(_ payload: ByteBuffer, encoding: FrameEncoding, frameBytesMax: Int) throws(FrameFault) -> [RelayClientFrame] {
        try FrameList<RelayClientFrame>.decode(payload, encoding: encoding, frameBytesMax: frameBytesMax)
    }
}

/// Writes what servers send; the server's half. Message pushes in JSON take the fast path of `MessageJSON`.
public enum ServerFrameEncoder {
    /// Appends one frame without a separator (see `FrameEncoding.appendSeparator`).
    public static func append(_ frame: RelayServerFrame, encoding: FrameEncoding, to buffer: inout ByteBuffer) throws(FrameFault) {
        if encoding == .json, !frame.hasID, case .message(let message) = frame.frame {
            MessageJSON.append(message, to: &buffer)
        } else if encoding == .json, case .published(let published) = frame.frame {
            PublishedJSON.append(published, id: frame.hasID ? frame.id : nil, to: &buffer)
        } else {
            try FrameList.append(frame, encoding: encoding, to: &buffer)
        }
    }
}

/// Writes what clients send; the client's half.
public enum ClientFrameEncoder {
    /// Appends one frame without a separator (see `FrameEncoding.appendSeparator`).
    public static func append(_ frame: RelayClientFrame, encoding: FrameEncoding, to buffer: inout ByteBuffer) throws(FrameFault) {
        try FrameList.append(frame, encoding: encoding, to: &buffer)
    }
}

/// Reads what servers send; the client's half.
public enum ServerFrameDecoder {
    /// The frames of one WebSocket message, or of one cut of `StreamFraming`, in their order. Frames of a newer schema are left out.
    public static func decode(_ payload: ByteBuffer, encoding: FrameEncoding, frameBytesMax: Int) throws(FrameFault) -> [RelayServerFrame] {
        try FrameList<RelayServerFrame>.decode(payload, encoding: encoding, frameBytesMax: frameBytesMax)
    }
}

/// A frame of the protocol: what both directions have in common.
private protocol RelayFrame: SwiftProtobuf.Message {
    var hasFrame: Bool { get }
    /// Whether a frame without a known field is a fault or somebody else's novelty.
    static var refusesUnknownFrames: Bool { get }
    /// A frame that is read so often that it is read by hand, else nil.
    static func fast(_ json: UnsafeRawBufferPointer) -> Self?
}

extension RelayClientFrame: RelayFrame {
    fileprivate var hasFrame: Bool { frame != nil }
    fileprivate static var refusesUnknownFrames: Bool { true }
    fileprivate static func fast(_ json: UnsafeRawBufferPointer) -> RelayClientFrame? { PublishJSON.frame(json) }
}

extension RelayServerFrame: RelayFrame {
    fileprivate var hasFrame: Bool { frame != nil }
    fileprivate static var refusesUnknownFrames: Bool { false }
    fileprivate static func fast(_ json: UnsafeRawBufferPointer) -> RelayServerFrame? { nil }
}

/// The shared work: lists of frames in both encodings.
private enum FrameList<Frame: RelayFrame> {
    private static var decodingOptions: JSONDecodingOptions {
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        return options
    }

    private static var encodingOptions: JSONEncodingOptions {
        var options = JSONEncodingOptions()
        options.alwaysPrintInt64sAsNumbers = true
        return options
    }

    static func append(_ frame: Frame, encoding: FrameEncoding, to buffer: inout ByteBuffer) throws(FrameFault) {
        do {
            switch encoding {
            case .json:
                let bytes: [UInt8] = try frame.jsonUTF8Bytes(options: encodingOptions)
                buffer.writeBytes(bytes)
            case .protobuf:
                let bytes: [UInt8] = try frame.serializedBytes()
                appendVarint(UInt64(bytes.count), to: &buffer)
                buffer.writeBytes(bytes)
            case .grpc:
                let bytes: [UInt8] = try frame.serializedBytes()
                GRPCPrefix.append(bytes: bytes.count, to: &buffer)
                buffer.writeBytes(bytes)
            }
        } catch {
            throw .malformed
        }
    }

    static func decode(_ payload: ByteBuffer, encoding: FrameEncoding, frameBytesMax: Int) throws(FrameFault) -> [Frame] {
        let frames =
            switch encoding {
            case .json: try decodeJSON(payload, frameBytesMax: frameBytesMax)
            case .protobuf: try decodeMessages(payload, frameBytesMax: frameBytesMax, lengthFrom: readVarint)
            case .grpc: try decodeMessages(payload, frameBytesMax: frameBytesMax, lengthFrom: GRPCPrefix.readLength)
            }
        guard Frame.refusesUnknownFrames else { return frames.filter(\.hasFrame) }
        guard !frames.isEmpty, frames.allSatisfy(\.hasFrame) else { throw .noFrame }
        return frames
    }

    /// One object a line. A payload whose first line is not an object may still be one object over several lines.
    private static func decodeJSON(_ payload: ByteBuffer, frameBytesMax: Int) throws(FrameFault) -> [Frame] {
        var rest = payload
        var frames: [Frame] = []
        while let line = rest.takeLine() {
            guard !line.isBlank else { continue }
            do throws(FrameFault) {
                frames.append(try parse(line, frameBytesMax: frameBytesMax))
            } catch {
                guard error == .malformed, frames.isEmpty, rest.readableBytes > 0 else { throw error }
                return [try parse(payload, frameBytesMax: frameBytesMax)]
            }
        }
        return frames
    }

    private static func parse(_ json: ByteBuffer, frameBytesMax: Int) throws(FrameFault) -> Frame {
        guard json.readableBytes <= frameBytesMax else { throw .tooLarge }
        if let frame = json.withUnsafeReadableBytes({ Frame.fast($0) }) { return frame }
        do {
            return try Frame(jsonUTF8Bytes: BorrowedBytes(json), options: decodingOptions)
        } catch {
            throw .malformed
        }
    }

    private static func decodeMessages(
        _ payload: ByteBuffer, frameBytesMax: Int, lengthFrom: (inout ByteBuffer) -> UInt64?
    ) throws(FrameFault) -> [Frame] {
        var rest = payload
        var frames: [Frame] = []
        while rest.readableBytes > 0 {
            guard let length = lengthFrom(&rest) else { throw .malformed }
            guard length <= UInt64(frameBytesMax) else { throw .tooLarge }
            guard let bytes = rest.readSlice(length: Int(length)) else { throw .malformed }
            do {
                frames.append(try Frame(serializedBytes: BorrowedBytes(bytes)))
            } catch {
                throw .malformed
            }
        }
        return frames
    }
}

/// Lends the bytes of a buffer to SwiftProtobuf without a copy.
struct BorrowedBytes: SwiftProtobufContiguousBytes {
    private var buffer: ByteBuffer

    init(_ buffer: ByteBuffer) { self.buffer = buffer }
    init(repeating byte: UInt8, count: Int) { buffer = ByteBuffer(repeating: byte, count: count) }
    init<S: Sequence>(_ sequence: S) where S.Element == UInt8 { buffer = ByteBuffer(bytes: sequence) }

    var count: Int { buffer.readableBytes }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeReadableBytes(body)
    }

    mutating func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeMutableReadableBytes(body)
    }
}

extension ByteBuffer {
    /// The bytes up to the next `\n`, which is taken too, or up to the end; nil at the end.
    fileprivate mutating func takeLine() -> ByteBuffer? {
        guard readableBytes > 0 else { return nil }
        let length = withUnsafeReadableBytes { bytes in bytes.firstIndex(of: UInt8(ascii: "\n")) }
        let line = readSlice(length: length ?? readableBytes)
        if length != nil { moveReaderIndex(forwardBy: 1) }
        return line
    }
}
