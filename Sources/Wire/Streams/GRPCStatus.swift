/// How a gRPC call ended: the codes of gRPC that a relay uses, and their trailers.
public enum GRPCStatus: Int, Hashable, Sendable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case permissionDenied = 7
    case resourceExhausted = 8
    case aborted = 10
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case unauthenticated = 16

    /// The status of a WebSocket close code, by the protocol reference's table.
    public init(closeCode: UInt16) {
        self =
            switch closeCode {
            case 1000, 1001: .ok
            case 4004, 4501: .unauthenticated
            case 4000..<4500: .unavailable
            case 4500, 4503, 1002, 1003, 1007, 1009: .invalidArgument
            case 4502: .permissionDenied
            case 4504: .aborted
            case 4505: .resourceExhausted
            default: .unknown
            }
    }

    /// The value of the `grpc-message` trailer: everything but printable ASCII is percent-encoded, the percent sign too.
    public static func encoded(message: String) -> String {
        var text = ""
        for byte in message.utf8 {
            if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                text += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return text
    }

    /// What a `grpc-message` trailer says. What is not well-formed stays as it is (gRPC over HTTP/2, "Percent-Encoded").
    public static func decoded(message: String) -> String {
        let bytes = Array(message.utf8)
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let byte = byte(bytes[index + 1], bytes[index + 2]) {
                decoded.append(byte)
                index += 3
            } else {
                decoded.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    private static func byte(_ high: UInt8, _ low: UInt8) -> UInt8? {
        guard let high = digit(high), let low = digit(low) else { return nil }
        return high << 4 | low
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
