/// Counts the deliveries in the bytes of one session, with as little reading as that takes: on a WebSocket a header per frame, and
/// what `PayloadCounter` looks at. State is a few words, no bytes are kept.
struct DeliveryCounter {
    private enum Step {
        case header
        case payload
    }

    /// Whether the payload comes in WebSocket frames, or as it is.
    private let isFramed: Bool
    private var payload: PayloadCounter
    private var step = Step.header
    private var headerBytes: (UInt64, UInt16) = (0, 0)
    private var headerCount = 0
    private var opcode: UInt8 = 0
    private var payloadLeft = 0
    private(set) var pings = 0
    /// The server has closed, or sent what a server does not send here.
    private(set) var isBroken = false

    init(unit: PayloadCounter.Unit, isFramed: Bool) {
        payload = PayloadCounter(unit: unit)
        self.isFramed = isFramed
    }

    /// The number of deliveries that end in these bytes.
    mutating func count(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard isFramed else { return payload.count(bytes) }
        var deliveries = 0
        var index = 0
        while index < bytes.count, !isBroken {
            switch step {
            case .header:
                readHeaderByte(bytes[index])
                index += 1
            case .payload:
                let length = min(payloadLeft, bytes.count - index)
                if isMessage { deliveries += payload.count(UnsafeRawBufferPointer(rebasing: bytes[index..<index + length])) }
                payloadLeft -= length
                index += length
            }
            if step == .payload, payloadLeft == 0 { deliveries += endFrame() }
        }
        return deliveries
    }

    mutating func takePings() -> Int {
        defer { pings = 0 }
        return pings
    }

    private var isMessage: Bool { opcode == 1 || opcode == 2 }

    private mutating func readHeaderByte(_ byte: UInt8) {
        withUnsafeMutableBytes(of: &headerBytes) { $0[headerCount] = byte }
        headerCount += 1
        guard headerCount >= 2 else { return }
        let (first, short) = withUnsafeBytes(of: headerBytes) { ($0[0], $0[1]) }
        let headerLength = short == 126 ? 4 : short == 127 ? 10 : 2
        guard headerCount == headerLength else { return }
        isBroken = short & 0x80 != 0 || first & 0x80 == 0
        opcode = first & 0x0F
        payloadLeft = Self.length(short, headerBytes)
        headerCount = 0
        step = .payload
    }

    private static func length(_ short: UInt8, _ header: (UInt64, UInt16)) -> Int {
        withUnsafeBytes(of: header) { bytes in
            switch short {
            case 126: Int(bytes[2]) << 8 | Int(bytes[3])
            case 127: (2..<10).reduce(0) { $0 << 8 | Int(bytes[$1]) }
            default: Int(short)
            }
        }
    }

    private mutating func endFrame() -> Int {
        step = .header
        if isMessage { return payload.endFrame() }
        switch opcode {
        case 8: isBroken = true
        case 9: pings += 1
        default: break
        }
        return 0
    }
}
