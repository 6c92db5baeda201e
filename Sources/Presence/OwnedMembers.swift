import MeshCore

/// The sessions that this node owns in one room, with the version of the set. Changes within a tick travel as one delta.
public struct OwnedMembers: Sendable {
    public private(set) var entries = SmallTable<UInt64, MemberEntry>()
    private var version: UInt64 = 0
    private var upserted = SmallTable<UInt64, MemberEntry>()
    private var removed: Set<UInt64> = []

    public init() {}

    public var isEmpty: Bool { entries.isEmpty }
    public var hasChanges: Bool { !upserted.isEmpty || !removed.isEmpty }

    public mutating func upsert(_ entry: MemberEntry) {
        guard entries[entry.session] != entry else { return }
        entries[entry.session] = entry
        upserted[entry.session] = entry
        removed.remove(entry.session)
    }

    public mutating func remove(_ session: UInt64) {
        guard entries.removeValue(forKey: session) != nil else { return }
        upserted[session] = nil
        removed.insert(session)
    }

    /// What changed since the last call, or nil. The first one is a snapshot: it replaces whatever an earlier set of this owner left.
    ///
    /// - Parameter nextVersion: greater than every version that this owner used before, also for a set that was since forgotten.
    public mutating func takeUpdate(owner: NodeBoot, nextVersion: () -> UInt64) -> OwnerUpdate? {
        guard hasChanges else { return nil }
        let last = version
        version = nextVersion()
        let content: OwnerUpdate.Content =
            last == 0
            ? .snapshot(Array(entries.values))
            : .delta(from: last, upserted: Array(upserted.values), removed: Array(removed))
        upserted.removeAll()
        removed.removeAll()
        return OwnerUpdate(owner: owner, version: version, content: content)
    }
}
