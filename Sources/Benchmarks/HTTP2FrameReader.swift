/// Cuts the bytes of an HTTP/2 connection into frames. The payload of DATA is handed on piece by piece as it comes; of other frames the
/// first bytes are kept, which hold all that a load generator asks about.
struct HTTP2FrameReader {
    enum Piece: Hashable {
        /// A part of a DATA frame: where it stands in the bytes that were given.
        case data(stream: UInt32, Range<Int>, endsStream: Bool)
        /// Another frame, whole; see `payload`.
        case frame(HTTP2FrameHeader)
    }

    /// Of a frame that is not DATA.
    static let keptBytesMax = 256

    private var headerBytes: [UInt8] = []
    private var header = HTTP2FrameHeader(length: 0, kind: 0)
    private var isInFrame = false
    private var left = 0
    /// The beginning of the payload of the frame that was returned last.
    private(set) var payload: [UInt8] = []

    init() { headerBytes.reserveCapacity(HTTP2FrameHeader.bytes) }

    /// The next piece from `index` on, which is moved behind it; nil when more bytes are needed.
    mutating func next(_ bytes: UnsafeRawBufferPointer, from index: inout Int) -> Piece? {
        guard isInFrame || readHeader(bytes, &index) else { return nil }
        let part = index..<index + min(left, bytes.count - index)
        guard !part.isEmpty || left == 0 else { return nil }
        index = part.upperBound
        left -= part.count
        isInFrame = left > 0
        guard header.kind != HTTP2FrameHeader.Kind.data else {
            return .data(stream: header.stream, part, endsStream: !isInFrame && header.has(HTTP2FrameHeader.Flag.endStream))
        }
        payload.append(contentsOf: bytes[part].prefix(Self.keptBytesMax - payload.count))
        return isInFrame ? nil : .frame(header)
    }

    /// False when its end has not come yet.
    private mutating func readHeader(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) -> Bool {
        let missing = HTTP2FrameHeader.bytes - headerBytes.count
        guard bytes.count - index >= missing else {
            headerBytes.append(contentsOf: bytes[index...])
            index = bytes.count
            return false
        }
        if headerBytes.isEmpty {
            header = HTTP2FrameHeader(reading: UnsafeRawBufferPointer(rebasing: bytes[index..<index + missing]))
        } else {
            headerBytes.append(contentsOf: bytes[index..<index + missing])
            header = headerBytes.withUnsafeBytes { HTTP2FrameHeader(reading: $0) }
            headerBytes.removeAll(keepingCapacity: true)
        }
        index += missing
        left = header.length
        isInFrame = true
        payload.removeAll(keepingCapacity: true)
        return true
    }
}
