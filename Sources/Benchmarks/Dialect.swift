import NIOCore
import SwiftProtobuf
import Wire

/// What the load generator says to a server, and what counts as a delivery.
struct Dialect: Sendable {
    enum Kind: Sendable {
        /// The baseline: a message is what is sent, nothing else is said.
        case bare
        case relay(FrameEncoding, RelayDurability)
    }

    static let room = "bench"
    let kind: Kind
    let payloadBytes: Int

    var path: String { "/v1/ws" }

    var subprotocols: [String] {
        guard case .relay(let encoding, _) = kind else { return [] }
        return encoding.subprotocol.map { [$0] } ?? []
    }

    var unit: DeliveryCounter.Unit {
        switch kind {
        case .bare: .frame
        case .relay(.json, _): .line
        case .relay(.protobuf, _), .relay(.grpc, _): .delimited
        }
    }

    /// The WebSocket frame of one publish, masked once and sent again and again: what varies is when.
    func publishFrame() throws -> [UInt8] {
        let text = String(repeating: "x", count: payloadBytes)
        switch kind {
        case .bare: return Self.frame(.text, ByteBuffer(string: text))
        case .relay(_, let durability):
            return try message(
                .with {
                    $0.publish = .with {
                        $0.room = Self.room
                        $0.text = text
                        $0.durability = durability
                    }
                })
        }
    }

    func hello(token: String, device: String) throws -> [UInt8] {
        try message(
            .with {
                $0.id = 1
                $0.hello = .with {
                    $0.token = token
                    $0.device = device
                    $0.heartbeatSeconds = 60
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

    static func pong() -> [UInt8] { frame(.pong, ByteBuffer()) }

    private func message(_ frame: RelayClientFrame) throws -> [UInt8] {
        guard case .relay(let encoding, _) = kind else { return [] }
        var payload = ByteBuffer()
        try ClientFrameEncoder.append(frame, encoding: encoding, to: &payload)
        return Self.frame(encoding.opcode, payload)
    }

    private static func frame(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) -> [UInt8] {
        var buffer = ByteBuffer()
        WebSocketFrames.append(opcode, payload, mask: .random(in: 0...(.max)), to: &buffer)
        return Array(buffer.readableBytesView)
    }
}
