import MeshCore

/// What a request of the operations listener asks for. Pure, so that every path can be tried without a socket.
enum OperationsRoute: Hashable {
    case health
    case readiness
    case regions
    case nodes
    case room(String)
    case metrics
    case notFound
    case badRequest(String)
    case methodNotAllowed

    private static let roomPrefix = "/v1/rooms/"

    /// - Parameter path: as it came, percent-encoded. Room names may hold `/`, encoded or not.
    init(method: String, path: String) {
        let found = Self.find(path)
        let isRead = method == "GET" || method == "HEAD"
        self = found == .notFound || isRead ? found : .methodNotAllowed
    }

    private static func find(_ path: String) -> OperationsRoute {
        switch path {
        case "/healthz": return .health
        case "/readyz": return .readiness
        case "/v1/regions": return .regions
        case "/v1/nodes": return .nodes
        case "/metrics": return .metrics
        default: break
        }
        guard path.hasPrefix(roomPrefix), path.utf8.count > roomPrefix.utf8.count else { return .notFound }
        return findRoom(String(path.dropFirst(roomPrefix.count)))
    }

    private static func findRoom(_ encoded: String) -> OperationsRoute {
        guard let room = PercentEncoding.decode(encoded) else { return .badRequest("the room is not percent-encoded UTF-8") }
        do throws(NameFault) {
            try NameRules.checkRoom(room)
            return .room(room)
        } catch {
            return .badRequest("\(error)")
        }
    }
}

/// RFC 3986 section 2.1.
public enum PercentEncoding {
    /// Nil for a `%` without two hexadecimal digits, and for bytes that are not UTF-8.
    public static func decode(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Everything but the unreserved characters is encoded.
    public static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return text.utf8.reduce(into: "") { encoded, byte in
            if isUnreserved(byte) {
                encoded.append(Character(UnicodeScalar(byte)))
            } else {
                encoded += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
