/// Tokens that grow with time up to a burst.
public struct TokenBucket: Sendable {
    private let perSecond: Double
    private let most: Double
    private var tokens: Double
    private var filledAt: Instant

    public init(perSecond: Int, burst: Int, now: Instant) {
        self.perSecond = Double(perSecond)
        most = Double(burst)
        tokens = most
        filledAt = now
    }

    public mutating func take(now: Instant) -> Bool {
        tokens = min(max(most, tokens), tokens + Double((now - filledAt).nanoseconds) / 1e9 * perSecond)
        filledAt = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// How long until there is one to take.
    public var wait: TimeSpan { tokens >= 1 ? .zero : TimeSpan(nanoseconds: Int64((1 - tokens) / perSecond * 1e9) + 1) }

    /// Earned beside those of time, up to a hundred bursts.
    public mutating func add(_ earned: Double) { tokens = min(tokens + earned, most * 100) }
}
