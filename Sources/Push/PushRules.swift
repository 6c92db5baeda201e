import MeshCore

/// When a notification is tried again, and when it is given up. Decides only: takes the claim's number and age, and has no clock.
public struct PushRules: Hashable, Sendable {
    public var triesMax: Int
    public var ageMax: TimeSpan
    /// Tries of what a receiver refuses.
    public var refusalsMax: Int
    public var retryLeast: TimeSpan
    public var retryMost: TimeSpan

    public init(triesMax: Int, ageMax: TimeSpan, refusalsMax: Int = 5, retryLeast: TimeSpan, retryMost: TimeSpan) {
        self.triesMax = triesMax
        self.ageMax = ageMax
        self.refusalsMax = refusalsMax
        self.retryLeast = retryLeast
        self.retryMost = retryMost
    }

    /// What follows from an outcome. The raw value is the label of the metric.
    public enum Verdict: String, Hashable, Sendable, CaseIterable {
        case done, retry, gone, rejected
        case givenUp = "given_up"
    }

    /// Whether nothing is to be sent any more.
    public func isTooOld(_ age: TimeSpan) -> Bool { age >= ageMax }

    /// - Parameter claim: how often the notification was claimed, from 1.
    public func verdict(_ outcome: PushOutcome, claim: Int, age: TimeSpan) -> Verdict {
        switch outcome {
        case .done: .done
        case .gone: .gone
        case .rejected: .rejected
        case .refused where claim >= refusalsMax: .rejected
        case .refused, .retry: claim >= triesMax || isTooOld(age) ? .givenUp : .retry
        }
    }

    /// The wait before the next try: doubles with each, drawn from its upper half, and never shorter than what the service asked for.
    public func delay(claim: Int, asked: TimeSpan?, using random: inout some RandomNumberGenerator) -> TimeSpan {
        var most = retryLeast
        for _ in 1..<max(2, min(claim, 40)) where claim > 1 && most < retryMost { most = min(most * 2, retryMost) }
        let half = most.nanoseconds / 2
        let drawn = TimeSpan(nanoseconds: half + Int64.random(in: 0...max(1, half), using: &random))
        return max(drawn, min(asked ?? .zero, ageMax))
    }
}
