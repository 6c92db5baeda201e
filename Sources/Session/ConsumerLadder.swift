/// What a session that reads slower than it is sent is still given (promise P9): the more bytes wait for it, the less. Nothing durable is lost:
/// what is not pushed is read from history when there is room again.
public enum ConsumerStage: Int, Hashable, Sendable, Comparable, CaseIterable {
    /// Everything is pushed.
    case live
    /// Ephemeral messages and typing are dropped.
    case shedding
    /// Presence is kept back and told as its latest state.
    case folding
    /// Messages are not pushed any more but read from history.
    case pulling
    /// It is told to come back and resume.
    case closing

    public static func < (a: ConsumerStage, b: ConsumerStage) -> Bool { a.rawValue < b.rawValue }
}

/// The steps, as parts of the largest outbox. Whoever has come to a step stays on it until the outbox has drained below `drained`.
public struct ConsumerLadder: Hashable, Sendable {
    private let outboxBytesMax: Int

    public init(outboxBytesMax: Int) { self.outboxBytesMax = outboxBytesMax }

    public var sheddingBytes: Int { outboxBytesMax / 16 }
    public var foldingBytes: Int { outboxBytesMax / 8 }
    public var pullingBytes: Int { outboxBytesMax / 4 }
    /// There is room for a page of history, and for what was kept back.
    public var drainedBytes: Int { outboxBytesMax / 32 }

    public func stage(waiting bytes: Int) -> ConsumerStage {
        if bytes > outboxBytesMax { return .closing }
        if bytes > pullingBytes { return .pulling }
        if bytes > foldingBytes { return .folding }
        return bytes > sheddingBytes ? .shedding : .live
    }

    public func isDrained(waiting bytes: Int) -> Bool { bytes <= drainedBytes }
}
