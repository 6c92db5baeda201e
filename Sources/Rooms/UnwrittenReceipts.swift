import MeshCore

/// The receipts of a room that its store has not got yet. What is deleted meanwhile is not written behind the deletion, nor again after a
/// write that failed.
public struct UnwrittenReceipts: Sendable {
    private var waiting = ReceiptTable()
    /// Nil while nothing is being written.
    private var underWay: ReceiptTable?
    private var deletions = 0

    public init() {}

    /// Nothing waits for a write to begin.
    public var isEmpty: Bool { waiting.isEmpty }
    public var isSettled: Bool { waiting.isEmpty && underWay == nil }

    public mutating func add(_ receipt: Receipt) { _ = waiting.merge(receipt) }

    /// What to write now. Nil while there is nothing, another write is under way, or the store is deleting: what is written then would
    /// come behind the deletion. Call `ended` with its outcome.
    public mutating func begin() -> [Receipt]? {
        guard underWay == nil, deletions == 0, !waiting.isEmpty else { return nil }
        defer { waiting.removeAll() }
        underWay = waiting
        return waiting.all
    }

    /// What could not be written is written again, but for what was forgotten meanwhile.
    public mutating func ended(isWritten: Bool) {
        defer { underWay = nil }
        guard !isWritten, let unwritten = underWay else { return }
        for receipt in unwritten.all { add(receipt) }
    }

    // MARK: Deletion

    public mutating func deletionBegan() { deletions += 1 }
    public mutating func deletionEnded() { deletions -= 1 }

    public mutating func forget(_ user: String) {
        waiting.forget(user)
        underWay?.forget(user)
    }

    public mutating func forget(upTo position: Position) {
        waiting.forget(upTo: position)
        underWay?.forget(upTo: position)
    }

    public mutating func forgetAll() {
        waiting.removeAll()
        underWay?.removeAll()
    }
}
