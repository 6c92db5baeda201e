import MeshCore

/// What the owner of sessions (a run of a node) says about its set in one room. Only the owner originates it; every level passes it
/// on as it is.
public struct OwnerUpdate: Hashable, Sendable {
    public enum Content: Hashable, Sendable {
        /// Replaces all that the owner said up to `version`.
        case snapshot([MemberEntry])
        /// Follows on `from` exactly.
        case delta(from: UInt64, upserted: [MemberEntry], removed: [UInt64])
        /// The level that says this lost the owner and has waited out the grace period.
        case gone
    }

    public var owner: NodeBoot
    public var version: UInt64
    public var content: Content

    public init(owner: NodeBoot, version: UInt64, content: Content) {
        self.owner = owner
        self.version = version
        self.content = content
    }
}
