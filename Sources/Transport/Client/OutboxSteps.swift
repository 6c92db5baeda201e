/// How much may wait for one peer, in bytes, and at how much less is sent to it.
public struct OutboxSteps: Hashable, Sendable {
    /// At or below it there is room for more.
    public var drainedBytes: Int
    /// Above it batches of ephemeral messages are not kept.
    public var sheddingBytes: Int
    /// Above it the session is told that its peer is behind.
    public var behindBytes: Int
    /// Above it the session is told again, and must let go of it.
    public var bytesMax: Int

    public init(drainedBytes: Int, sheddingBytes: Int, behindBytes: Int, bytesMax: Int) {
        self.drainedBytes = drainedBytes
        self.sheddingBytes = sheddingBytes
        self.behindBytes = behindBytes
        self.bytesMax = bytesMax
    }

    func level(of bytes: Int) -> OutboxLevel {
        if bytes > bytesMax { return .full }
        return bytes > behindBytes ? .behind : .fine
    }
}

enum OutboxLevel: UInt8, Comparable {
    case fine, behind, full

    static func < (a: OutboxLevel, b: OutboxLevel) -> Bool { a.rawValue < b.rawValue }
}
