import NIOCore
import SwiftProtobuf
import Wire

/// What the load says to a server, and what counts as a delivery.
struct Dialect: Sendable {
    enum Kind: Sendable {
        /// The baseline: a message is what is sent, nothing else is said.
        case bare
        case relay(BenchmarkDoor, FrameEncoding, RelayDurability)
    }

    static let room = "bench"
    let kind: Kind
    let payloadBytes: Int

    var door: BenchmarkDoor {
        guard case .relay(let door, _, _) = kind else { return .webSocket }
        return door
    }

    /// Nil where nothing but messages is said.
    var encoding: FrameEncoding? {
        guard case .relay(_, let encoding, _) = kind else { return nil }
        return encoding
    }

    var isFramed: Bool { door.carrier == .webSocket }

    var path: String {
        switch door.carrier {
        case .webSocket: "/v1/ws"
        case .ndjson: "/v1/stream"
        case .grpc: "/heliograph.v1.Relay/Connect"
        }
    }

    var subprotocols: [String] { encoding?.subprotocol.map { [$0] } ?? [] }

    var unit: PayloadCounter.Unit {
        switch encoding {
        case nil: .frame
        case .json: .line
        case .protobuf: .delimited
        case .grpc: .prefixed
        }
    }

    /// The header of the HTTP/2 request that opens a session.
    func requestHeaders(authority: String) -> [(name: String, value: String)] {
        let target = [(":scheme", door.isEncrypted ? "https" : "http"), (":path", path), (":authority", authority)]
        switch door.carrier {
        case .webSocket:
            let webSocket = [("sec-websocket-version", WebSocketHandshake.version)] + subprotocols.map { ("sec-websocket-protocol", $0) }
            return [(":method", "CONNECT"), (":protocol", "websocket")] + target + webSocket
        case .ndjson: return [(":method", "POST")] + target + [("content-type", "application/x-ndjson")]
        case .grpc: return [(":method", "POST")] + target + [("content-type", "application/grpc"), ("te", "trailers")]
        }
    }

    // MARK: Messages

    /// The bytes of one publish, masked once and sent again and again: what varies is when.
    ///
    /// - Parameter id: 0 if no answer is wanted.
    func publish(to room: String = Self.room, id: UInt32 = 0) throws -> [UInt8] {
        let text = String(repeating: "x", count: payloadBytes)
        guard case .relay(_, _, let durability) = kind else { return Self.frame(.text, ByteBuffer(string: text)) }
        return try message(
            .with {
                if id != 0 { $0.id = id }
                $0.publish = .with {
                    $0.room = room
                    $0.text = text
                    $0.durability = durability
                }
            })
    }

    func hello(token: String, device: String, resume: [RelayResume] = []) throws -> [UInt8] {
        try message(
            .with {
                $0.id = 1
                $0.hello = .with {
                    $0.token = token
                    $0.device = device
                    $0.heartbeatSeconds = 60
                    $0.resume = resume
                }
            })
    }

    func subscribe() throws -> [UInt8] {
        try message(
            .with {
                $0.id = 2
                $0.subscribe.room = Self.room
            })
    }

    /// A sign of life. The answer is too short to be counted.
    func ping() throws -> [UInt8] { try message(.with { $0.ping = .init() }) }

    static func pong() -> [UInt8] { frame(.pong, ByteBuffer()) }

    static func close() -> [UInt8] {
        var buffer = ByteBuffer()
        WebSocketFrames.appendClose(code: 1000, mask: .random(in: 0...(.max)), to: &buffer)
        return Array(buffer.readableBytesView)
    }

    func message(_ frame: RelayClientFrame) throws -> [UInt8] {
        guard let encoding else { return [] }
        var payload = ByteBuffer()
        try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
        if isFramed { return Self.frame(encoding.opcode, payload) }
        encoding.appendSeparator(to: &payload)
        return Array(payload.readableBytesView)
    }

    private static func frame(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) -> [UInt8] {
        var buffer = ByteBuffer()
        WebSocketFrames.append(opcode, payload, mask: .random(in: 0...(.max)), to: &buffer)
        return Array(buffer.readableBytesView)
    }
}
