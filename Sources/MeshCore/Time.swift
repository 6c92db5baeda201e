/// A point on this process's own monotonic clock, in nanoseconds. Never compared between processes.
public struct Instant: Hashable, Sendable, Comparable {
    public var nanoseconds: UInt64
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    public static let zero = Instant(nanoseconds: 0)

    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    public static func + (a: Instant, b: TimeSpan) -> Instant { Instant(nanoseconds: a.nanoseconds &+ UInt64(max(0, b.nanoseconds))) }
    public static func - (a: Instant, b: Instant) -> TimeSpan { TimeSpan(nanoseconds: Int64(bitPattern: a.nanoseconds &- b.nanoseconds)) }
}

/// A length of time. A type of its own, so that pure modules need neither a clock nor NIO's units.
public struct TimeSpan: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var nanoseconds: Int64
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = TimeSpan(nanoseconds: 0)
    public static func milliseconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: Int64(n) * 1_000_000) }
    public static func seconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: Int64(n) * 1_000_000_000) }

    /// Rounded down.
    public var milliseconds: Int { Int(nanoseconds / 1_000_000) }
    public var description: String { "\(milliseconds) ms" }

    public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.nanoseconds < b.nanoseconds }
    public static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds + b.nanoseconds) }
    public static func * (a: TimeSpan, n: Int) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds * Int64(n)) }
    public static func / (a: TimeSpan, n: Int) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds / Int64(n)) }
}

/// Milliseconds since 1970 on the wall clock, for what people and other regions read. Never for a decision about time.
public typealias WallMilliseconds = Int64
