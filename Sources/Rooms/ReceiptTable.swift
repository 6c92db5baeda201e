import MeshCore

/// The receipts of one room as one level of its tree knows them. They merge by maximum, so the order in which they arrive and how often
/// does not matter: whoever is in doubt repeats what it knows.
public struct ReceiptTable: Sendable {
    /// Entries of one table. At the bound the quarter that is furthest behind is forgotten: the store still has it.
    public static let entriesMax = 20_000

    public enum Outcome: Hashable, Sendable {
        /// Not ahead of what is known.
        case stale
        /// Something moved forward, and so many entries had to be forgotten for it.
        case moved(forgotten: Int)
    }

    private var entries: [ReceiptOwner: ReceiptPositions] = [:]
    private var changed: Set<ReceiptOwner> = []
    private let most: Int

    public init(entriesMax: Int = Self.entriesMax) { most = entriesMax }

    public var isEmpty: Bool { entries.isEmpty }
    public var count: Int { entries.count }
    public var hasChanges: Bool { !changed.isEmpty }
    public var all: [Receipt] { entries.map { Receipt($0.key, $0.value) } }

    public mutating func merge(_ receipt: Receipt) -> Outcome {
        let known = entries[receipt.owner]
        let merged = (known ?? .none).merged(with: receipt.positions)
        guard merged != known ?? .none else { return .stale }
        let forgotten = known == nil ? makeRoom() : 0
        entries[receipt.owner] = merged
        changed.insert(receipt.owner)
        return .moved(forgotten: forgotten)
    }

    /// What moved since the last call, each owner once.
    public mutating func takeChanges() -> [Receipt] {
        defer { changed.removeAll(keepingCapacity: true) }
        return changed.compactMap { owner in entries[owner].map { Receipt(owner, $0) } }
    }

    public mutating func removeAll() {
        entries.removeAll()
        changed.removeAll()
    }

    /// Whatever the user has confirmed, visibly or not.
    public mutating func forget(_ user: String) {
        for owner in [ReceiptOwner(user: user), ReceiptOwner(user: user, isHidden: true)] {
            entries[owner] = nil
            changed.remove(owner)
        }
    }

    /// Messages up to `position` were deleted: nothing is confirmed of them any more.
    public mutating func forget(upTo position: Position) {
        for (owner, positions) in entries {
            let left = positions.beyond(position)
            entries[owner] = left == .none ? nil : left
            if left == .none { changed.remove(owner) }
        }
    }

    // MARK: Users

    /// What the user herself knows to have confirmed.
    public func own(_ user: String) -> ReceiptPositions {
        shown(user).merged(with: entries[ReceiptOwner(user: user, isHidden: true)] ?? .none)
    }

    /// What others may know of it.
    public func shown(_ user: String) -> ReceiptPositions { entries[ReceiptOwner(user: user)] ?? .none }

    public func delivered(_ user: String) -> Position { own(user).delivered }

    public var users: Set<String> { Set(entries.keys.map(\.user)) }

    /// How far the slowest of `users` who has confirmed anything is, and how far the fastest of all. Nil if nobody has.
    public func summary(of users: some Sequence<String>) -> ReceiptSummary? {
        let shown = users.lazy.map { self.shown($0) }.filter { $0 != .none }
        guard let first = shown.first(where: { _ in true }) else { return nil }
        return shown.reduce(into: ReceiptSummary(lowest: first, highest: first)) { $0.add($1) }
    }

    /// What did not go on yet is forgotten last.
    private mutating func makeRoom() -> Int {
        guard entries.count >= most else { return 0 }
        let order = entries.sorted { a, b in
            let (isFirstChanged, isSecondChanged) = (changed.contains(a.key), changed.contains(b.key))
            return isFirstChanged == isSecondChanged ? a.value.delivered < b.value.delivered : isSecondChanged
        }
        let victims = order.prefix(max(1, most / 4))
        for (owner, _) in victims {
            entries[owner] = nil
            changed.remove(owner)
        }
        return victims.count
    }
}

/// The receipts of a room in which there are too many users to tell everybody of each.
public struct ReceiptSummary: Hashable, Sendable {
    public var lowest: ReceiptPositions
    public var highest: ReceiptPositions

    public init(lowest: ReceiptPositions, highest: ReceiptPositions) {
        self.lowest = lowest
        self.highest = highest
    }

    mutating func add(_ positions: ReceiptPositions) {
        lowest = ReceiptPositions(delivered: min(lowest.delivered, positions.delivered), read: min(lowest.read, positions.read))
        highest = highest.merged(with: positions)
    }
}
