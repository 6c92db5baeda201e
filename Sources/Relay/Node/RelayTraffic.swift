/// What a relay has done for its clients.
public struct RelayTraffic: Hashable, Sendable {
    /// `send` calls to clients, and their bytes.
    public var sends: UInt64 = 0
    public var sentBytes: UInt64 = 0
    /// Publishes of its own sessions.
    public var acknowledged: UInt64 = 0
    /// Appends to the store by the roots on it.
    public var appendBatches: UInt64 = 0
}
