import MeshCore

/// How the values of configuration files are written. Every parser says what it wants when it refuses.
enum ScalarParsers {
    static func text(_ text: String) throws(InvalidValue) -> String { text }

    /// Names of meshes, regions, nodes and placements go into Redis keys, metrics labels and file names.
    static func name(_ text: String) throws(InvalidValue) -> String {
        let allowed = text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        guard allowed, text.utf8.count <= 63, let first = text.utf8.first, isAlphanumeric(first) else {
            throw InvalidValue("`\(text)` is not a name: 1 to 63 letters, digits, `-`, `_` or `.`, beginning with a letter or digit")
        }
        return text
    }

    static func region(_ text: String) throws(InvalidValue) -> RegionID { RegionID(try name(text)) }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    /// `host:port` or `[v6 address]:port`.
    static func hostPort(_ text: String) throws(InvalidValue) -> HostPort {
        let fault = InvalidValue("`\(text)` is not host:port with a port from 1 to 65535")
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port) else {
            throw fault
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw InvalidValue("`\(text)`: an IPv6 address is written in brackets, [::1]:7100")
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { throw fault }
        return HostPort(host: String(host), port: port)
    }

    /// `host:port`, which is in the clear, or `rediss://host:port`.
    static func storeAddress(_ text: String) throws(InvalidValue) -> (address: HostPort, isEncrypted: Bool) {
        let scheme = "rediss://"
        guard text.hasPrefix(scheme) else { return (try hostPort(text), false) }
        return (try hostPort(String(text.dropFirst(scheme.count))), true)
    }

    static func clientURL(_ text: String) throws(InvalidValue) -> String {
        for scheme in ["http://", "https://"]
        where text.hasPrefix(scheme) && text.count > scheme.count && !text.contains(where: \.isWhitespace) {
            return text.hasSuffix("/") ? String(text.dropLast()) : text
        }
        throw InvalidValue("`\(text)` is not an http:// or https:// URL")
    }

    static func boolean(_ text: String) throws(InvalidValue) -> Bool {
        switch text {
        case "true": return true
        case "false": return false
        default: throw InvalidValue("`\(text)` is neither true nor false")
        }
    }

    static func integer(_ range: ClosedRange<Int>) -> (String) throws(InvalidValue) -> Int {
        { text throws(InvalidValue) in
            guard let value = Int(text.filter { $0 != "_" }) else { throw InvalidValue("`\(text)` is not a whole number") }
            guard range.contains(value) else { throw InvalidValue("\(value) is outside \(range.lowerBound) to \(range.upperBound)") }
            return value
        }
    }

    static func choice<Value: RawRepresentable & CaseIterable>(_: Value.Type) -> (String) throws(InvalidValue) -> Value
    where Value.RawValue == String {
        { text throws(InvalidValue) in
            if let value = Value(rawValue: text) { return value }
            throw InvalidValue("`\(text)` is none of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    // MARK: Numbers with a unit

    private static let byteUnits = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)]
    private static let timeUnits = [
        ("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]

    /// A plain number of bytes, or with `B`, `KiB`, `MiB`, `GiB`.
    static func bytes(_ range: ClosedRange<Int>) -> (String) throws(InvalidValue) -> Int {
        { text throws(InvalidValue) in
            let value = Int(text.filter { $0 != "_" }) ?? scaled(text, by: byteUnits)
            guard let value else { throw InvalidValue("`\(text)` is not a size such as 65536, 64KiB or 4MiB") }
            guard range.contains(value) else { throw InvalidValue("\(value) bytes is outside \(range.lowerBound) to \(range.upperBound)") }
            return value
        }
    }

    /// A number with `ms`, `s`, `m`, `h` or `d`. A bare number is refused: nobody should have to know which unit was meant.
    static func timeSpan(_ range: ClosedRange<TimeSpan>) -> (String) throws(InvalidValue) -> TimeSpan {
        { text throws(InvalidValue) in
            guard let nanoseconds = scaled(text, by: timeUnits) else {
                throw InvalidValue("`\(text)` is not a time with its unit, such as 500ms, 10s or 5m")
            }
            let value = TimeSpan(nanoseconds: Int64(nanoseconds))
            guard range.contains(value) else { throw InvalidValue("\(value) is outside \(range.lowerBound) to \(range.upperBound)") }
            return value
        }
    }

    private static func scaled(_ text: String, by units: [(suffix: String, factor: Int)]) -> Int? {
        for unit in units where text.hasSuffix(unit.suffix) {
            let digits = text.dropLast(unit.suffix.count).filter { $0 != " " && $0 != "_" }
            guard let number = Int(digits) else { continue }
            let (product, overflow) = number.multipliedReportingOverflow(by: unit.factor)
            return overflow ? nil : product
        }
        return nil
    }
}
