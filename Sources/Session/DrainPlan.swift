import MeshCore

/// When each session of a stopping node is to come back, so that they do not all arrive elsewhere at once.
public struct DrainPlan: Sendable {
    /// Sessions that the other edges are asked to take per second.
    public static let sessionsPerSecond = 500
    public static let afterMsMost = 30_000

    private let sessions: Int
    private var random: SeededRandom

    public init(sessions: Int, seed: UInt64) {
        self.sessions = sessions
        random = SeededRandom(seed: seed)
    }

    /// The width of the window in milliseconds: at least a quarter of a second, so that even a few do not come as one.
    public var windowMs: Int { min(Self.afterMsMost, max(250, sessions * 1000 / Self.sessionsPerSecond)) }

    /// A slot drawn evenly from the window.
    public mutating func nextAfterMs() -> Int { Int.random(in: 0..<windowMs, using: &random) }
}
