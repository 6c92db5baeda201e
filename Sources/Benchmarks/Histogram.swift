/// Counts of durations in log-linear buckets: 32 for each power of two, so a percentile is read off at most 3.2 % high.
/// Recording is a shift and an increment.
struct Histogram {
    private static let subBits = 5
    private static let subCount = 1 << subBits
    private var buckets = [UInt64](repeating: 0, count: (64 - subBits + 1) << subBits)
    private(set) var count: UInt64 = 0
    private(set) var maximum: UInt64 = 0

    mutating func record(_ value: UInt64) {
        buckets[Self.bucket(of: value)] += 1
        count += 1
        maximum = max(maximum, value)
    }

    mutating func add(_ other: Histogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    /// The upper edge of the bucket that holds the given fraction of all values; 0 of none.
    func percentile(_ fraction: Double) -> UInt64 {
        let rank = UInt64((fraction * Double(count)).rounded(.up))
        var seen: UInt64 = 0
        for (index, bucket) in buckets.enumerated() where bucket > 0 {
            seen += bucket
            if seen >= max(1, rank) { return min(maximum, Self.upperEdge(of: index)) }
        }
        return maximum
    }

    static func bucket(of value: UInt64) -> Int {
        guard value >= subCount else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let shift = exponent - subBits
        return (shift + 1) << subBits | Int(value >> UInt64(shift)) & (subCount - 1)
    }

    static func upperEdge(of bucket: Int) -> UInt64 {
        guard bucket >= subCount else { return UInt64(bucket) }
        let shift = UInt64(bucket >> subBits - 1)
        let mantissa = UInt64(subCount | bucket & (subCount - 1))
        return (mantissa << shift) &+ ((1 << shift) - 1)
    }
}
