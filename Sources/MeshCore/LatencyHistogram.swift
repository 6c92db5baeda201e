/// A histogram with fixed bounds, as Prometheus scrapes it: cheap to fill, exact to add up.
public struct LatencyHistogram: Sendable {
    /// Upper bounds in microseconds; one more bucket holds what is above the last.
    public static let boundsMicroseconds: [UInt64] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    ]
    public private(set) var buckets = [UInt64](repeating: 0, count: boundsMicroseconds.count + 1)
    public private(set) var count: UInt64 = 0
    public private(set) var sumMicroseconds: UInt64 = 0

    public init() {}

    public mutating func record(_ span: TimeSpan) {
        let microseconds = UInt64(max(0, span.nanoseconds / 1000))
        let bucket = Self.boundsMicroseconds.firstIndex { microseconds <= $0 } ?? Self.boundsMicroseconds.count
        buckets[bucket] += 1
        count += 1
        sumMicroseconds += microseconds
    }

    public mutating func add(_ other: LatencyHistogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        sumMicroseconds += other.sumMicroseconds
    }
}
