import MeshCore

/// The live nodes of a region, versioned. Kept in the region's store and changed by compare-and-set only, so that two opinions
/// can not both be the newest.
public struct Roster: Hashable, Sendable {
    public let region: RegionID
    public let version: UInt64
    /// Sorted.
    public let nodes: [NodeID]

    public init(region: RegionID, version: UInt64, nodes: [NodeID]) {
        self.region = region
        self.version = version
        self.nodes = nodes.sorted()
    }

    /// Regions larger than this keep links to others through this many nodes.
    public static let gatewaysMax = 4

    /// The nodes that keep links to other regions: all while there are at most four, else four by rendezvous hash.
    public var gateways: [NodeID] {
        guard nodes.count > Self.gatewaysMax else { return nodes }
        let ranked = Rendezvous.order(stableHash(region.name), among: nodes.map { ($0, 1) })
        return ranked.prefix(Self.gatewaysMax).sorted()
    }
}
