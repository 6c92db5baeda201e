import NIOCore

/// The client's side of one HTTP/2 connection (RFC 9113), as cheap as a load generator needs it and no more: windows so large that they are
/// hardly ever topped up, header blocks without tables, answers of which only `200` matters. Does no I/O: bytes go in, `output` must be sent.
struct HTTP2LoadClient {
    /// The largest window there is (section 6.9.1).
    static let windowBytes = Int(Int32.max)
    /// As much is read before the server is given new credit for it.
    static let topUpBytes = windowBytes / 2
    private static let initialWindowBytes = 65_535
    /// The largest frame that every peer takes (section 4.2).
    static let frameBytesMax = 16 << 10
    private static let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    /// `:status: 200` as an entry of the static table (RFC 7541, appendix A).
    private static let statusOK: UInt8 = 0x88

    private enum Setting {
        static let enablePush: UInt16 = 2
        static let initialWindowSize: UInt16 = 4
        static let enableConnectProtocol: UInt16 = 8
    }

    private struct Stream {
        /// Bytes that the server takes.
        var credit: Int
        /// What waits for credit.
        var held = ByteBuffer()
        /// Bytes read since the last top-up.
        var consumed = 0
        var isAnswered = false
        var hasEnded = false
    }

    /// What must be sent. The owner takes it.
    var output = ByteBuffer()
    /// The server's SETTINGS have come.
    private(set) var isReady = false
    /// Streams that the server has ended or reset.
    private(set) var endedStreams = 0
    private(set) var allowsExtendedConnect = false

    private var reader = HTTP2FrameReader()
    private var streams: [Stream] = []
    private var credit = initialWindowBytes
    private var streamCredit = initialWindowBytes
    private var consumed = 0
    private var heldBytes = 0

    init() {
        output.writeString(Self.preface)
        HTTP2FrameHeader(length: 12, kind: HTTP2FrameHeader.Kind.settings).append(to: &output)
        output.writeMultipleIntegers(Setting.enablePush, UInt32(0), Setting.initialWindowSize, UInt32(Self.windowBytes))
        appendWindowUpdate(stream: 0, Self.windowBytes - Self.initialWindowBytes)
    }

    var streamCount: Int { streams.count }
    func isAnswered(_ stream: Int) -> Bool { streams[stream].isAnswered }
    func hasEnded(_ stream: Int) -> Bool { streams[stream].hasEnded }

    // MARK: Out

    /// Opens the next stream and returns its index, from 0.
    mutating func open(_ headers: [(name: String, value: String)]) -> Int {
        var block = ByteBuffer()
        for header in headers { PlainHPACK.append(header.name, header.value, to: &block) }
        let index = streams.count
        streams.append(Stream(credit: streamCredit))
        append(HTTP2FrameHeader.Kind.headers, HTTP2FrameHeader.Flag.endHeaders, Self.identifier(of: index), block)
        return index
    }

    /// Sends as much as the windows allow; the rest follows with the server's credit.
    mutating func send(_ payload: [UInt8], on stream: Int) {
        streams[stream].held.writeBytes(payload)
        heldBytes += payload.count
        release(stream)
    }

    /// Ends our half; nothing may be held.
    mutating func finish(_ stream: Int) {
        append(HTTP2FrameHeader.Kind.data, HTTP2FrameHeader.Flag.endStream, Self.identifier(of: stream), ByteBuffer())
    }

    private mutating func release(_ stream: Int) {
        while true {
            let held = streams[stream].held.readableBytes
            let count = min(held, Self.frameBytesMax, credit, streams[stream].credit)
            guard count > 0, let part = streams[stream].held.readSlice(length: count) else { break }
            append(HTTP2FrameHeader.Kind.data, 0, Self.identifier(of: stream), part)
            credit -= count
            streams[stream].credit -= count
            heldBytes -= count
        }
        if streams[stream].held.readableBytes == 0 { streams[stream].held.clear() }
    }

    private mutating func releaseAll() {
        guard heldBytes > 0 else { return }
        for stream in streams.indices where streams[stream].held.readableBytes > 0 { release(stream) }
    }

    private mutating func append(_ kind: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: ByteBuffer) {
        HTTP2FrameHeader(length: payload.readableBytes, kind: kind, flags: flags, stream: stream).append(to: &output)
        output.writeImmutableBuffer(payload)
    }

    private mutating func appendWindowUpdate(stream: UInt32, _ bytes: Int) {
        append(HTTP2FrameHeader.Kind.windowUpdate, 0, stream, ByteBuffer(integer: UInt32(bytes)))
    }

    /// Clients use odd numbers (section 5.1.1).
    private static func identifier(of index: Int) -> UInt32 { UInt32(2 * index + 1) }

    // MARK: In

    /// Hands on what came for each stream, piece by piece.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ body: (_ stream: Int, _ payload: UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var index = 0
        while let piece = reader.next(bytes, from: &index) {
            switch piece {
            case .data(let identifier, let range, let endsStream):
                let stream = try self.index(of: identifier)
                consume(range.count, stream)
                try body(stream, UnsafeRawBufferPointer(rebasing: bytes[range]))
                if endsStream { end(stream) }
            case .frame(let header): try handle(header)
            }
        }
    }

    private func index(of identifier: UInt32) throws -> Int {
        let index = Int(identifier) / 2
        guard identifier % 2 == 1, index < streams.count else { throw BenchmarkError.protocolFailed("a frame on stream \(identifier)") }
        return index
    }

    private mutating func consume(_ count: Int, _ stream: Int) {
        consumed += count
        streams[stream].consumed += count
        if consumed >= Self.topUpBytes {
            appendWindowUpdate(stream: 0, consumed)
            consumed = 0
        }
        if streams[stream].consumed >= Self.topUpBytes {
            appendWindowUpdate(stream: Self.identifier(of: stream), streams[stream].consumed)
            streams[stream].consumed = 0
        }
    }

    private mutating func end(_ stream: Int) {
        guard !streams[stream].hasEnded else { return }
        streams[stream].hasEnded = true
        endedStreams += 1
    }

    private mutating func handle(_ header: HTTP2FrameHeader) throws {
        let payload = reader.payload
        switch header.kind {
        case HTTP2FrameHeader.Kind.headers: try handleHeaders(header, payload)
        case HTTP2FrameHeader.Kind.resetStream: end(try index(of: header.stream))
        case HTTP2FrameHeader.Kind.settings: if !header.has(HTTP2FrameHeader.Flag.acknowledges) { apply(payload) }
        case HTTP2FrameHeader.Kind.ping:
            guard !header.has(HTTP2FrameHeader.Flag.acknowledges) else { return }
            append(HTTP2FrameHeader.Kind.ping, HTTP2FrameHeader.Flag.acknowledges, 0, ByteBuffer(bytes: payload))
        case HTTP2FrameHeader.Kind.windowUpdate: try addCredit(Int(Self.integer(payload, at: 0) & 0x7FFF_FFFF), header.stream)
        case HTTP2FrameHeader.Kind.goAway: throw BenchmarkError.protocolFailed("GOAWAY with code \(Self.integer(payload, at: 4))")
        default: break
        }
    }

    /// The first block of a stream is the answer, another one its trailers.
    private mutating func handleHeaders(_ header: HTTP2FrameHeader, _ block: [UInt8]) throws {
        let stream = try index(of: header.stream)
        if !streams[stream].isAnswered {
            let isPlain = !header.has(HTTP2FrameHeader.Flag.isPadded) && !header.has(HTTP2FrameHeader.Flag.hasPriority)
            guard isPlain, block.first == Self.statusOK else { throw BenchmarkError.protocolFailed("an answer that is not 200") }
            streams[stream].isAnswered = true
        }
        if header.has(HTTP2FrameHeader.Flag.endStream) { end(stream) }
    }

    private mutating func apply(_ settings: [UInt8]) {
        for start in stride(from: 0, to: settings.count - 5, by: 6) {
            let value = Self.integer(settings, at: start + 2)
            switch UInt16(settings[start]) << 8 | UInt16(settings[start + 1]) {
            case Setting.initialWindowSize:
                // Counts for streams that are open, too (section 6.9.2).
                for stream in streams.indices { streams[stream].credit += Int(value) - streamCredit }
                streamCredit = Int(value)
            case Setting.enableConnectProtocol: allowsExtendedConnect = value == 1
            default: break
            }
        }
        isReady = true
        append(HTTP2FrameHeader.Kind.settings, HTTP2FrameHeader.Flag.acknowledges, 0, ByteBuffer())
        releaseAll()
    }

    private mutating func addCredit(_ bytes: Int, _ identifier: UInt32) throws {
        if identifier == 0 { credit += bytes } else { streams[try index(of: identifier)].credit += bytes }
        releaseAll()
    }

    /// 0 for what is not there.
    private static func integer(_ bytes: [UInt8], at start: Int) -> UInt32 {
        guard bytes.count >= start + 4 else { return 0 }
        return bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
