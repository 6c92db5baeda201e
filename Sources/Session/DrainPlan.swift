import MeshCore

/// When each session of a stopping node is to come back, so that they do not all arrive elsewhere at once.
public struct DrainPlan: Sendable {
    /// Sessions that the other edges are asked to take per second.
    public static let sessionsPerSecond = 500
    public static let windowMsLeast = 250
    public static let windowMsMost = 30_000

    private let windowMs: Int
    private var random: SeededRandom

    public init(windowMs: Int, seed: UInt64) {
        self.windowMs = max(1, windowMs)
        random = SeededRandom(seed: seed)
    }

    /// The window over which `sessions` are spread, in milliseconds; never nothing, so that even a few do not come as one.
    public static func windowMs(sessions: Int) -> Int {
        min(windowMsMost, max(windowMsLeast, sessions * 1000 / sessionsPerSecond))
    }

    /// A slot drawn evenly from the window.
    public mutating func nextAfterMs() -> Int { Int.random(in: 0..<windowMs, using: &random) }
}
