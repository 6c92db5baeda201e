public import MeshCore

/// The `grpc-timeout` header: at most eight digits and a unit.
public enum GRPCTimeout {
    /// Nil for what is not a timeout. What is longer than the 292 years of a `TimeSpan` is that long.
    public static func parse(_ text: String) -> TimeSpan? {
        guard let unit = text.last, (2...9).contains(text.utf8.count) else { return nil }
        let digits = text.dropLast()
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let amount = Int64(digits) else {
            return nil
        }
        guard let nanosecondsEach = nanoseconds(in: unit) else { return nil }
        let (nanoseconds, isTooLong) = amount.multipliedReportingOverflow(by: nanosecondsEach)
        return TimeSpan(nanoseconds: isTooLong ? .max : nanoseconds)
    }

    private static func nanoseconds(in unit: Character) -> Int64? {
        switch unit {
        case "H": 3_600_000_000_000
        case "M": 60_000_000_000
        case "S": 1_000_000_000
        case "m": 1_000_000
        case "u": 1_000
        case "n": 1
        default: nil
        }
    }
}
