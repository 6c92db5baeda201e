import MeshCore

/// When to dial a peer again. The back-off starts anew only after a link that stood for a while: a peer that accepts
/// and then drops the link at once is no better than one that does not answer.
public struct LinkRedial: Sendable {
    public let stableAfter: TimeSpan
    private var backoff: Backoff

    public init(least: TimeSpan, most: TimeSpan, stableAfter: TimeSpan) {
        self.stableAfter = stableAfter
        backoff = Backoff(least: least, most: most)
    }

    /// - Parameter upSince: when the link that ended came up, nil for an attempt that failed.
    /// - Returns: how long to wait before the next attempt.
    public mutating func delay(upSince: Instant?, now: Instant, using random: inout some RandomNumberGenerator) -> TimeSpan {
        if let upSince, now - upSince >= stableAfter { backoff.reset() }
        return backoff.next(using: &random)
    }
}
