import MeshCore

/// How long something that is not to be had just now is left alone: as long as the relay asks for, and twice as long each time. Never less
/// than half a second, so that a relay that is short of something is not asked for it without end.
struct RetryWait: Sendable {
    static let most = TimeSpan.seconds(60)
    /// Draws from half a second to a second at first.
    private var backoff = Backoff(least: .seconds(1), most: Self.most)

    /// - Parameter asked: what the relay wants at least; more than `most` is not heard.
    mutating func next(notBefore asked: TimeSpan, using random: inout some RandomNumberGenerator) -> TimeSpan {
        let least = min(asked, Self.most)
        let spread = TimeSpan(nanoseconds: Int64.random(in: 0...least.nanoseconds / 2, using: &random))
        return max(backoff.next(using: &random), least + spread)
    }

    mutating func reset() { backoff.reset() }
}
