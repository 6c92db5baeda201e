import MeshCore
import Store

/// What a cell knows of its region's store: whether it is there, and which incarnation it is.
struct StoreKeeper {
    /// Nil until the store was attached, and again while it is not known whether it is still the same.
    private(set) var identity: StoreIdentity?
    /// The highest epoch that anybody knows for this region's store, so that a store that was wiped starts above it.
    private(set) var knownEpoch: UInt64 = 0
    private(set) var isAttaching = false

    /// Whether an append has a chance now.
    var isUp: Bool { identity != nil }

    mutating func learn(_ epoch: UInt64) { knownEpoch = max(knownEpoch, epoch) }

    mutating func lost() { identity = nil }

    /// False if an attach is under way already.
    mutating func beginAttach() -> Bool {
        guard !isAttaching else { return false }
        isAttaching = true
        return true
    }

    mutating func attached(_ result: Result<StoreIdentity, any Error>) {
        isAttaching = false
        guard case .success(let found) = result else { return }
        identity = found
        learn(found.epoch)
    }
}
