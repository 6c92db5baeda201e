public import NIOCore

/// Cuts the bytes of an HTTP/2 stream into pieces of one frame each: lines of ndjson, or gRPC's length-prefixed messages.
public struct StreamFraming: Sendable {
    public enum Fault: Error, Hashable, Sendable {
        /// Said by the length, before the frame is there.
        case tooLarge
        /// No compression was agreed on.
        case compressed
    }

    /// The most bytes of one frame.
    public var frameBytesMax: Int
    private let encoding: FrameEncoding
    /// Bytes at the front of the buffer that are known to hold no line feed.
    private var searched = 0

    /// - Parameter encoding: `json` or `grpc`.
    public init(_ encoding: FrameEncoding, frameBytesMax: Int) {
        self.encoding = encoding
        self.frameBytesMax = frameBytesMax
    }

    /// Takes the next frame from the front of `buffer`, in the form that `ClientFrameDecoder` reads; nil means that more bytes are needed.
    /// What is not taken must be there, with more behind it, at the next call.
    public mutating func next(_ buffer: inout ByteBuffer) throws(Fault) -> ByteBuffer? {
        encoding == .grpc ? try nextMessage(&buffer) : try nextLine(&buffer)
    }

    private func nextMessage(_ buffer: inout ByteBuffer) throws(Fault) -> ByteBuffer? {
        guard let flag: UInt8 = buffer.getInteger(at: buffer.readerIndex) else { return nil }
        guard flag == 0 else { throw .compressed }
        guard let length: UInt32 = buffer.getInteger(at: buffer.readerIndex + 1) else { return nil }
        guard Int(length) <= frameBytesMax else { throw .tooLarge }
        return buffer.readSlice(length: GRPCPrefix.bytes + Int(length))
    }

    private mutating func nextLine(_ buffer: inout ByteBuffer) throws(Fault) -> ByteBuffer? {
        while true {
            let skipped = searched
            let found = buffer.withUnsafeReadableBytes { $0[skipped...].firstIndex(of: UInt8(ascii: "\n")) }
            guard let length = found else {
                guard buffer.readableBytes <= frameBytesMax else { throw .tooLarge }
                searched = buffer.readableBytes
                return nil
            }
            searched = 0
            guard length <= frameBytesMax else { throw .tooLarge }
            let line = buffer.readSlice(length: length)
            buffer.moveReaderIndex(forwardBy: 1)
            // A blank line is somebody's keep-alive.
            if let line, !line.isBlank { return line }
        }
    }
}

extension ByteBuffer {
    /// Whether there is nothing but JSON's white space.
    var isBlank: Bool {
        readableBytesView.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == 0x0A }
    }
}
