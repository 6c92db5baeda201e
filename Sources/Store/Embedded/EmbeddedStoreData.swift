import MeshCore
import Synchronization

/// What an embedded store keeps: one per process and region, shared by the `EmbeddedStore` of each event loop.
public final class EmbeddedStoreData: Sendable {
    private let tables = Mutex(EmbeddedTables())
    /// Wall clock in ms; the dedup window, leases and typing follow it.
    let clock: @Sendable () -> WallMilliseconds

    public init(clock: @escaping @Sendable () -> WallMilliseconds = WallClock.now) { self.clock = clock }

    /// Loses everything, as FLUSHALL does: the next `attach` finds a store that was never seen.
    public func wipe() { tables.withLock { $0 = EmbeddedTables(run: $0.run) } }

    /// Begins another run, as a Redis that was restarted and kept its data.
    public func restart() { tables.withLock { $0.run += 1 } }

    func withTables<Answer: Sendable>(
        _ body: (inout EmbeddedTables) throws(StoreError) -> Answer
    ) throws(StoreError) -> Answer {
        try tables.withLock { tables throws(StoreError) in try body(&tables) }
    }
}
