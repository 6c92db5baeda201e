import HTTP2
import MeshCore
import NIOCore

/// A frame as it stands on the wire (RFC 9113, section 4.1), without anybody who would check it.
struct RawFrame: Hashable {
    enum Kind: UInt8 {
        case data, headers, priority, rstStream, settings, pushPromise, ping, goaway, windowUpdate, continuation
    }

    static let endStream: UInt8 = 0x1
    static let ack: UInt8 = 0x1
    static let endHeaders: UInt8 = 0x4
    static let padded: UInt8 = 0x8

    var kind: Kind
    var flags: UInt8 = 0
    var stream: UInt32 = 0
    var payload: [UInt8] = []

    func append(to buffer: inout ByteBuffer) {
        let count = UInt32(payload.count)
        buffer.writeInteger(count << 8 | UInt32(kind.rawValue))
        buffer.writeInteger(flags)
        buffer.writeInteger(stream)
        buffer.writeBytes(payload)
    }

    static let ping = RawFrame(kind: .ping, payload: Array(repeating: 7, count: 8))
    static let settings = RawFrame(kind: .settings)

    static func reset(_ stream: UInt32, code: UInt8 = 8) -> RawFrame {
        RawFrame(kind: .rstStream, stream: stream, payload: [0, 0, 0, code])
    }
    static func windowUpdate(_ stream: UInt32, by bytes: UInt16) -> RawFrame {
        RawFrame(kind: .windowUpdate, stream: stream, payload: [0, 0, UInt8(bytes >> 8), UInt8(bytes & 0xFF)])
    }
    static func headers(_ stream: UInt32, _ fields: HTTP2Headers, _ flags: UInt8 = endHeaders) -> RawFrame {
        RawFrame(kind: .headers, flags: flags, stream: stream, payload: block(fields))
    }

    /// Literal fields that enter no table (RFC 7541, section 6.2.2).
    static func block(_ fields: HTTP2Headers) -> [UInt8] {
        fields.fields.flatMap { [0] + text($0.name) + text($0.value) }
    }

    /// RFC 7541, sections 5.1 and 5.2.
    private static func text(_ text: String) -> [UInt8] {
        var count = text.utf8.count
        guard count >= 127 else { return [UInt8(count)] + text.utf8 }
        var bytes: [UInt8] = [127]
        count -= 127
        while count >= 128 {
            bytes.append(UInt8(count & 127 | 128))
            count >>= 7
        }
        return bytes + [UInt8(count)] + text.utf8
    }

    static func parse(_ bytes: ByteBuffer) -> [RawFrame] {
        var bytes = bytes
        var frames: [RawFrame] = []
        while let (start, flags, stream) = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt32).self),
            let payload = bytes.readBytes(length: Int(start >> 8)), let kind = Kind(rawValue: UInt8(start & 0xFF))
        {
            frames.append(RawFrame(kind: kind, flags: flags, stream: stream, payload: payload))
        }
        return frames
    }

    /// Of RST_STREAM and GOAWAY.
    var errorCode: UInt32? {
        guard kind == .rstStream || kind == .goaway else { return nil }
        let code = kind == .goaway ? payload.dropFirst(4).prefix(4) : payload.prefix(4)
        return code.reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// A server and a peer that sends it whatever the test says.
final class RawPeer {
    let server: HTTP2Session
    var now = Instant.zero
    private(set) var events: [HTTP2Event] = []
    private(set) var fault: HTTP2Fault?
    /// Everything that the server has sent.
    private(set) var answers: [RawFrame] = []

    init(_ limits: HTTP2Limits = HTTP2Limits()) {
        server = HTTP2Session(role: .server, limits: limits, now: now)
        send(ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        send([.settings, RawFrame(kind: .settings, flags: RawFrame.ack)])
    }

    func send(_ frames: [RawFrame]) {
        var bytes = ByteBuffer()
        for frame in frames { frame.append(to: &bytes) }
        send(bytes)
    }

    /// One write and the answer to it, as the owner of a session does it.
    func send(_ bytes: ByteBuffer) {
        guard fault == nil else { return }
        do throws(HTTP2Fault) {
            events += try server.receive(bytes, now: now)
        } catch {
            fault = error
        }
        collect()
    }

    func collect() {
        do throws(HTTP2Fault) {
            try server.fill(bytesMax: 1 << 20)
        } catch {
            fault = fault ?? error
            try? server.fill(bytesMax: 1 << 20)
        }
        answers += RawFrame.parse(server.output)
        server.output = ByteBuffer()
        events += server.takeEvents()
    }

    /// Sends them one by one, `every` so often, until the server has had enough. Returns how many it took.
    func flood(_ count: Int, every interval: TimeSpan = .zero, _ frames: (UInt32) -> [RawFrame]) -> Int {
        for number in 0..<count {
            send(frames(UInt32(number)))
            if fault != nil { return number }
            now = now + interval
        }
        return count
    }

    var goaway: UInt32? { answers.last { $0.kind == .goaway }?.errorCode }
    func resetCode(of stream: UInt32) -> UInt32? { answers.first { $0.kind == .rstStream && $0.stream == stream }?.errorCode }
}
