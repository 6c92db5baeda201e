public import MeshCore

/// The `grpc-timeout` header: at most eight digits and a unit.
public enum GRPCTimeout {
    /// Nil for what is not a timeout.
    public static func parse(_ text: String) -> TimeSpan? {
        guard let unit = text.last, (2...9).contains(text.utf8.count) else { return nil }
        let digits = text.dropLast()
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let amount = Int(digits) else { return nil }
        switch unit {
        case "H": return .seconds(amount * 3600)
        case "M": return .seconds(amount * 60)
        case "S": return .seconds(amount)
        case "m": return .milliseconds(amount)
        case "u": return TimeSpan(nanoseconds: Int64(amount) * 1000)
        case "n": return TimeSpan(nanoseconds: Int64(amount))
        default: return nil
        }
    }

    /// Whole milliseconds, rounded up, so that a server never gives up before its client.
    public static func text(_ span: TimeSpan) -> String { "\(min(99_999_999, max(1, span.milliseconds + 1)))m" }
}
