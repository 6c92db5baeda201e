import MeshCore

/// Up to where a room was deleted, as a level of its tree knows it. Levels that join are told, so that one whose link was down during a
/// deletion makes up for it.
public struct DeletionMark: Hashable, Sendable {
    /// `.zero` for a room that was never deleted, nil while nobody has said.
    public private(set) var upTo: Position?

    public init() {}

    /// The level above, or the store, has said how far the room was deleted; nil if it does not know.
    ///
    /// - Returns: whether a deletion was missed here. Not for a level that hears of the room's deletions for the first time: what it keeps
    ///   came after them.
    public mutating func learned(_ said: Position?) -> Bool {
        guard let said else { return false }
        defer { upTo = max(upTo ?? .zero, said) }
        return upTo.map { said > $0 } ?? false
    }
}
