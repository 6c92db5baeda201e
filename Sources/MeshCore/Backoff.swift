/// Exponential back-off with full jitter over the upper half: the delay doubles up to `most`, and each wait is drawn
/// from [delay/2, delay), so that peers who lost the same thing at once do not come back at once.
public struct Backoff: Sendable {
    public let least: TimeSpan
    public let most: TimeSpan
    private var current: TimeSpan

    public init(least: TimeSpan, most: TimeSpan) {
        precondition(least > .zero && most >= least, "back-off from \(least) to \(most)")
        self.least = least
        self.most = most
        current = least
    }

    public mutating func next(using random: inout some RandomNumberGenerator) -> TimeSpan {
        let delay = current
        current = min(current * 2, most)
        let half = delay.nanoseconds / 2
        return TimeSpan(nanoseconds: half + Int64.random(in: 0..<max(1, half), using: &random))
    }

    public mutating func reset() { current = least }
}
