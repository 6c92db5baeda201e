import MeshCore

/// What a request of the operations listener asks for. Pure, so that every path can be tried without a socket.
enum OperationsRoute: Hashable {
    case health
    case readiness
    case regions
    case nodes
    case room(String)
    case deleteRoom(String)
    case deleteUser(String)
    case exportUser(String)
    case metrics
    case notFound
    case badRequest(String)
    /// With those that are.
    case methodNotAllowed([String])

    private static let roomPrefix = "/v1/rooms/"
    private static let userPrefix = "/v1/users/"
    private static let exportSuffix = "/export"

    /// - Parameter path: as it came, percent-encoded. Names of rooms and users may hold `/`, encoded or not; a user whose name ends in
    ///   `/export` is written with that `/` encoded.
    init(method: String, path: String) {
        let (read, delete) = Self.find(path)
        let allowed = (read == nil ? [] : ["GET", "HEAD"]) + (delete == nil ? [] : ["DELETE"])
        switch method {
        case "GET", "HEAD": self = read ?? .methodNotAllowed(allowed)
        case "DELETE": self = delete ?? .methodNotAllowed(allowed)
        default: self = read == .notFound ? .notFound : .methodNotAllowed(allowed)
        }
    }

    /// What reading the path means, and what deleting it does; nil for what cannot be done with it.
    private static func find(_ path: String) -> (read: OperationsRoute?, delete: OperationsRoute?) {
        switch path {
        case "/healthz": return (.health, nil)
        case "/readyz": return (.readiness, nil)
        case "/v1/regions": return (.regions, nil)
        case "/v1/nodes": return (.nodes, nil)
        case "/metrics": return (.metrics, nil)
        default: break
        }
        if let room = tail(of: path, behind: roomPrefix) { return (named(room, .room), named(room, .deleteRoom)) }
        guard let user = tail(of: path, behind: userPrefix) else { return (.notFound, .notFound) }
        guard user.hasSuffix(exportSuffix) else { return (nil, named(user, .deleteUser)) }
        return (named(String(user.dropLast(exportSuffix.count)), .exportUser), nil)
    }

    private static func tail(of path: String, behind prefix: String) -> String? {
        path.hasPrefix(prefix) && path.utf8.count > prefix.utf8.count ? String(path.dropFirst(prefix.count)) : nil
    }

    private enum Subject { case room, deleteRoom, deleteUser, exportUser }

    private static func named(_ encoded: String, _ subject: Subject) -> OperationsRoute {
        let isRoom = subject == .room || subject == .deleteRoom
        guard let name = PercentEncoding.decode(encoded) else {
            return .badRequest("the \(isRoom ? "room" : "user") is not percent-encoded UTF-8")
        }
        do throws(NameFault) {
            if isRoom { try NameRules.checkRoom(name) } else { try NameRules.checkUser(name) }
        } catch {
            return .badRequest("\(error)")
        }
        switch subject {
        case .room: return .room(name)
        case .deleteRoom: return .deleteRoom(name)
        case .deleteUser: return .deleteUser(name)
        case .exportUser: return .exportUser(name)
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
