import CNghttp2
import MeshCore
public import NIOCore

/// What a stream sends after its headers. Asked whenever the peer's windows have room; called on the session's event loop.
public protocol HTTP2Body: AnyObject {
    /// Bytes that can be sent now.
    var readableBytes: Int { get }
    /// What follows the readable bytes; nil while more may come.
    var end: HTTP2BodyEnd? { get }
    /// Appends the next `count` bytes, at most `readableBytes`. Must not call the session.
    func take(_ count: Int, into buffer: inout ByteBuffer)
}

public enum HTTP2BodyEnd: Hashable, Sendable {
    case endStream
    case trailers(HTTP2Headers)
}

/// What the peer did, in its order. Collected while bytes are read and acted upon afterwards: nghttp2 must not be called from its callbacks.
public enum HTTP2Event: Hashable, Sendable {
    /// A whole block: a request; for a client a response or its trailers.
    case headers(stream: Int32, HTTP2Headers, endsStream: Bool)
    /// To be given back with `consume`.
    case data(stream: Int32, ByteBuffer)
    case endOfStream(stream: Int32)
    /// The stream is gone, with RFC 9113's error code; 0 after both sides ended it.
    case streamClosed(stream: Int32, code: UInt32)
    /// Streams above `lastStream` were not and will not be served.
    case goaway(lastStream: Int32, code: UInt32)
    /// The peer's settings were read; see `HTTP2Session.peerAllowsExtendedConnect`.
    case settings
    /// The peer broke the rules: its stream was reset for it, or the connection is over once what `fill` finds has been sent.
    case invalidFrame
}

/// One HTTP/2 connection (RFC 9113) without I/O, by nghttp2. Lives on one event loop; the only file that calls the library.
///
/// Give it what came with `receive`, act on the events, then take what is to be sent with `fill`. After a fault `fill` once more: it holds
/// the GOAWAY, and then the connection is over.
public final class HTTP2Session {
    public enum Role: Hashable, Sendable { case server, client }

    /// What waits to be put on the wire. The owner takes it and leaves an empty buffer.
    public var output = ByteBuffer()
    public let role: Role

    private let session: OpaquePointer?
    private let limits: HTTP2Limits
    private var guardian: FloodGuard
    private var now: Instant
    private var events: [HTTP2Event] = []
    private var bodies: [Int32: Outgoing] = [:]
    private var fields = HTTP2Headers()
    private var fieldBytes = 0
    private var fault: HTTP2Fault?
    /// Told after the library has returned: a callback that fails while sending would be called again with the same frame.
    private var faultWhileSending: HTTP2Fault?
    private var outputBytesMax = 0
    /// The peer has acknowledged our settings (RFC 9113, section 6.5.3).
    public private(set) var hasAgreedSettings = false

    private struct Outgoing {
        let body: any HTTP2Body
        var isDeferred = false
    }

    public init(role: Role, limits: HTTP2Limits, now: Instant) {
        self.role = role
        self.limits = limits
        self.now = now
        guardian = FloodGuard(limits, now: now)
        session = Self.makeSession(role, limits)
        nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        submitSettings()
    }

    deinit { nghttp2_session_del(session) }

    /// Nothing more will be read or written: the connection can be closed.
    public var isOver: Bool {
        (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0)
    }
    /// RFC 8441, section 3.
    public var peerAllowsExtendedConnect: Bool {
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }
    /// The last stream of the peer that this side has begun to serve.
    public var lastPeerStream: Int32 { nghttp2_session_get_last_proc_stream_id(session) }

    // MARK: In

    /// What the bytes say. On a fault the connection is over once what `fill` finds has been sent.
    public func receive(_ bytes: ByteBuffer, now: Instant) throws(HTTP2Fault) -> [HTTP2Event] {
        self.now = now
        let result = bytes.withUnsafeReadableBytes { raw in
            nghttp2_session_mem_recv(session, raw.bindMemory(to: UInt8.self).baseAddress, raw.count)
        }
        defer { events = [] }
        guard result >= 0 else {
            let fault = fault ?? Self.fault(for: Int32(truncatingIfNeeded: result))
            self.fault = fault
            terminate(fault.code)
            throw fault
        }
        return events
    }

    /// The bytes of a `data` event have been used: the peer may send as many again.
    public func consume(stream: Int32, bytes: Int) { nghttp2_session_consume_stream(session, stream, bytes) }

    /// The connection's window is given back at once, so that a slow stream starves no other.
    public func consumeConnection(bytes: Int) { nghttp2_session_consume_connection(session, bytes) }

    // MARK: Out

    /// Appends to `output` until it holds about `bytesMax`, or nothing is left that windows allow.
    public func fill(bytesMax: Int) throws(HTTP2Fault) {
        outputBytesMax = bytesMax
        while output.readableBytes < bytesMax {
            let before = output.readableBytes
            var chunk: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &chunk)
            guard count >= 0 else {
                let fault = fault ?? Self.fault(for: Int32(truncatingIfNeeded: count))
                self.fault = fault
                terminate(fault.code)
                throw fault
            }
            if let found = faultWhileSending {
                faultWhileSending = nil
                fault = found
                terminate(found.code)
                throw found
            }
            if count > 0, let chunk { output.writeBytes(UnsafeRawBufferPointer(start: chunk, count: count)) }
            guard output.readableBytes > before else { return }
        }
    }

    /// Answers a request, unless its stream is gone. Without a body the headers end the stream.
    public func respond(stream: Int32, _ headers: HTTP2Headers, body: (any HTTP2Body)?) {
        guard nghttp2_session_find_stream(session, stream) != nil else { return }
        if let body { bodies[stream] = Outgoing(body: body) }
        _ = withFields(headers) { fields in
            guard body != nil else { return nghttp2_submit_response(session, stream, fields.baseAddress, fields.count, nil) }
            var provider = Self.provider
            return nghttp2_submit_response(session, stream, fields.baseAddress, fields.count, &provider)
        }
    }

    /// Opens a stream; nil when there can be no more on this connection. The body is asked from the next `fill` on.
    public func request(_ headers: HTTP2Headers, body: any HTTP2Body) -> Int32? {
        let stream = withFields(headers) { fields in
            var provider = Self.provider
            return nghttp2_submit_request(session, nil, fields.baseAddress, fields.count, &provider, nil)
        }
        guard stream > 0 else { return nil }
        bodies[stream] = Outgoing(body: body)
        return stream
    }

    /// The body has more, or has come to its end.
    public func resume(stream: Int32) {
        guard bodies[stream]?.isDeferred == true else { return }
        bodies[stream]?.isDeferred = false
        nghttp2_session_resume_data(session, stream)
    }

    public func reset(stream: Int32, _ code: HTTP2ErrorCode) {
        nghttp2_submit_rst_stream(session, 0, stream, code.rawValue)
    }

    /// The connection is gone, and with it all streams: lets go of whoever was to send on them.
    public func forgetBodies() { bodies = [:] }

    /// Tells the peer to open no more streams, without refusing those that are on their way (RFC 9113, section 6.8).
    public func announceShutdown() { nghttp2_submit_shutdown_notice(session) }

    /// No stream above the last one that was seen is served from now on. The session is over when those that are open have ended.
    public func shutDown() {
        nghttp2_submit_goaway(session, 0, lastPeerStream, HTTP2ErrorCode.noError.rawValue, nil, 0)
    }

    /// GOAWAY, then nothing more.
    public func terminate(_ code: HTTP2ErrorCode) { nghttp2_session_terminate_session(session, code.rawValue) }

    // MARK: Set-up

    private static func makeSession(_ role: Role, _ limits: HTTP2Limits) -> OpaquePointer? {
        var callbacks: OpaquePointer?
        var option: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, nghttp2_option_new(&option) == 0 else { return nil }
        defer {
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(option)
        }
        setCallbacks(callbacks)
        // Windows open as sessions keep up.
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_continuations(option, limits.continuationsMax)
        // Never reached: `FloodGuard` counts resets, by the clock that we are given.
        nghttp2_option_set_stream_reset_rate_limit(option, UInt64(UInt32.max), UInt64(UInt32.max))
        nghttp2_option_set_max_settings(option, 32)
        var session: OpaquePointer?
        switch role {
        case .server: nghttp2_session_server_new2(&session, callbacks, nil, option)
        case .client: nghttp2_session_client_new2(&session, callbacks, nil, option)
        }
        return session
    }

    private func submitSettings() {
        var settings: [nghttp2_settings_entry] = [
            .init(settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindowBytes)),
            .init(settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(limits.headerBytesMax)),
        ]
        switch role {
        case .server:
            settings.append(.init(settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: UInt32(limits.streamsMax)))
            settings.append(.init(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL.rawValue), value: 1))
        case .client:
            settings.append(.init(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
        }
        nghttp2_submit_settings(session, 0, settings, settings.count)
        nghttp2_session_set_local_window_size(session, 0, 0, Int32(limits.connectionWindowBytes))
    }

    private static func fault(for error: Int32) -> HTTP2Fault {
        let text = nghttp2_strerror(error).map { String(cString: $0) } ?? "error \(error)"
        switch error {
        case NGHTTP2_ERR_FLOODED.rawValue: return HTTP2Fault(.flood, text)
        case NGHTTP2_ERR_TOO_MANY_SETTINGS.rawValue: return HTTP2Fault(.flood, text)
        case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue: return HTTP2Fault(.headersTooLarge, text)
        default: return HTTP2Fault(.protocolError, text)
        }
    }

    private func withFields<Result>(_ headers: HTTP2Headers, _ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> Result) -> Result {
        var text: [UInt8] = []
        for field in headers.fields {
            text.append(contentsOf: field.name.utf8)
            text.append(contentsOf: field.value.utf8)
        }
        return text.withUnsafeMutableBufferPointer { bytes in
            var start = 0
            var fields: [nghttp2_nv] = headers.fields.compactMap { field in
                guard let base = bytes.baseAddress else { return nil }
                let (name, value) = (field.name.utf8.count, field.value.utf8.count)
                defer { start += name + value }
                return nghttp2_nv(name: base + start, value: base + start + name, namelen: name, valuelen: value, flags: 0)
            }
            return fields.withUnsafeMutableBufferPointer { body($0) }
        }
    }
}

// MARK: - What nghttp2 reports

extension HTTP2Session {
    private static func of(_ data: UnsafeMutableRawPointer?) -> HTTP2Session? {
        data.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
    }

    private static let refuse = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue

    private static func setCallbacks(_ callbacks: OpaquePointer?) {
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, header, data in
            guard let header, let session = HTTP2Session.of(data) else { return 0 }
            return session.frameBegan(header.pointee) ? 0 : HTTP2Session.refuse
        }
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, _, data in
            HTTP2Session.of(data)?.blockBegan()
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, _, name, nameLength, value, valueLength, _, data in
            let name = UnsafeBufferPointer(start: name, count: nameLength)
            let value = UnsafeBufferPointer(start: value, count: valueLength)
            return HTTP2Session.of(data)?.fieldReceived(name, value) == true ? 0 : HTTP2Session.refuse
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, data in
            guard let frame, let session = HTTP2Session.of(data) else { return 0 }
            return session.frameReceived(frame.pointee) ? 0 : HTTP2Session.refuse
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, stream, bytes, count, data in
            let bytes = ByteBuffer(bytes: UnsafeRawBufferPointer(start: bytes, count: count))
            HTTP2Session.of(data)?.events.append(.data(stream: stream, bytes))
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, data in
            HTTP2Session.of(data)?.closed(stream, code)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, data in
            if let frame { HTTP2Session.of(data)?.frameSent(frame.pointee) }
            return 0
        }
        nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, frame, header, length, _, data in
            guard let frame, let header, let session = HTTP2Session.of(data) else { return HTTP2Session.refuse }
            session.appendData(stream: frame.pointee.hd.stream_id, header: header, count: length)
            return session.output.readableBytes < session.outputBytesMax ? 0 : NGHTTP2_ERR_PAUSE.rawValue
        }
    }

    private func frameBegan(_ header: nghttp2_frame_hd) -> Bool {
        let kind: FloodGuard.Kind? =
            switch UInt32(header.type) {
            case NGHTTP2_PING.rawValue, NGHTTP2_SETTINGS.rawValue, NGHTTP2_PRIORITY.rawValue: .control
            case NGHTTP2_RST_STREAM.rawValue: .reset
            case NGHTTP2_WINDOW_UPDATE.rawValue: .windowUpdate
            default: nil
            }
        return count(kind)
    }

    private func frameSent(_ frame: nghttp2_frame) {
        switch UInt32(frame.hd.type) {
        case NGHTTP2_DATA.rawValue: guardian.sentData(bytes: frame.hd.length)
        case NGHTTP2_RST_STREAM.rawValue:
            noteBreach(frame.rst_stream.error_code)
            if !count(.reset) { (faultWhileSending, fault) = (fault, nil) }
        case NGHTTP2_GOAWAY.rawValue: noteBreach(frame.goaway.error_code)
        default: break
        }
    }

    /// The library answers most breaches by itself, and not all of them come to its callback for invalid frames: what it sends tells.
    private func noteBreach(_ code: UInt32) {
        let isBreach = code != HTTP2ErrorCode.noError.rawValue && code != HTTP2ErrorCode.cancel.rawValue
        if isBreach, fault == nil { events.append(.invalidFrame) }
    }

    /// A client trusts the relay that it chose.
    private func count(_ kind: FloodGuard.Kind?) -> Bool {
        guard role == .server, let kind, !guardian.count(kind, now: now) else { return true }
        fault = HTTP2Fault(.flood, "too many \(kind) frames")
        return false
    }

    private func blockBegan() {
        fields = HTTP2Headers()
        fieldBytes = 0
    }

    private func fieldReceived(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Bool {
        fieldBytes += name.count + value.count + 32
        guard fieldBytes <= limits.headerBytesMax, fields.fields.count < limits.headersMax else {
            fault = HTTP2Fault(.headersTooLarge, "a header block above \(limits.headerBytesMax) bytes or \(limits.headersMax) fields")
            return false
        }
        fields.add(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        return true
    }

    private var endStreamFlag: UInt8 { UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) }

    private func frameReceived(_ frame: nghttp2_frame) -> Bool {
        let header = frame.hd
        let endsStream = header.flags & endStreamFlag != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            // Nothing that a client could say in trailers means something here.
            if role == .client || frame.headers.cat == NGHTTP2_HCAT_REQUEST {
                events.append(.headers(stream: header.stream_id, fields, endsStream: endsStream))
            } else if endsStream {
                events.append(.endOfStream(stream: header.stream_id))
            }
        case NGHTTP2_DATA.rawValue where endsStream:
            events.append(.endOfStream(stream: header.stream_id))
        case NGHTTP2_DATA.rawValue where header.length <= frame.data.padlen:
            return count(.control)
        case NGHTTP2_GOAWAY.rawValue:
            events.append(.goaway(lastStream: frame.goaway.last_stream_id, code: frame.goaway.error_code))
        case NGHTTP2_SETTINGS.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { events.append(.settings) } else { hasAgreedSettings = true }
        default: break
        }
        return true
    }

    private func closed(_ stream: Int32, _ code: UInt32) {
        bodies[stream] = nil
        events.append(.streamClosed(stream: stream, code: code))
    }

    /// Streams that ended while bytes were sent. The owner asks after every `fill`.
    public func takeEvents() -> [HTTP2Event] {
        defer { events = [] }
        return events
    }
}

// MARK: - Bodies

extension HTTP2Session {
    private static var provider: nghttp2_data_provider {
        nghttp2_data_provider(source: .init(ptr: nil)) { _, stream, _, length, flags, _, data in
            guard let flags, let session = HTTP2Session.of(data) else { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
            return session.read(stream, length, &flags.pointee)
        }
    }

    /// How much of a body goes into the next DATA frame. The bytes themselves are copied once, by `appendData`.
    private func read(_ stream: Int32, _ length: Int, _ flags: inout UInt32) -> Int {
        guard let body = bodies[stream]?.body else { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
        let readable = body.readableBytes
        let count = min(readable, length)
        if count == readable, let end = body.end {
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if case .trailers(let trailers) = end {
                flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                _ = withFields(trailers) { nghttp2_submit_trailer(session, stream, $0.baseAddress, $0.count) }
            }
        } else if count == 0 {
            bodies[stream]?.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        flags |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        return count
    }

    /// Without padding: `select_padding` is not set.
    private func appendData(stream: Int32, header: UnsafePointer<UInt8>, count: Int) {
        output.writeBytes(UnsafeRawBufferPointer(start: header, count: 9))
        bodies[stream]?.body.take(count, into: &output)
    }
}
