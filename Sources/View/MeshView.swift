import MeshCore

/// What the regions have agreed on: everything that the home of a room depends on. Configuration proposes it; until regions
/// can agree on another, the configured one stands at epoch 1.
public struct MeshView: Hashable, Sendable {
    public enum RegionState: String, Hashable, Sendable { case active, draining, witness, evicted }

    public struct Region: Hashable, Sendable {
        public var region: RegionID
        public var state: RegionState
        /// Share of the shards, relative to the others. 0 homes nothing.
        public var weight: UInt32

        public init(region: RegionID, state: RegionState = .active, weight: UInt32 = 100) {
            self.region = region
            self.state = state
            self.weight = weight
        }
    }

    public static let defaultPlacement = "default"

    public var epoch: UInt64
    public var regions: [Region]
    public var placements: [String: [RegionID]]

    /// - Precondition: `placements` has `defaultPlacement`.
    public init(epoch: UInt64, regions: [Region], placements: [String: [RegionID]]) {
        precondition(placements[Self.defaultPlacement] != nil, "a view needs the default placement")
        self.epoch = epoch
        self.regions = regions
        self.placements = placements
    }

    /// The placement a room lives in: what stands before its first `/`, if that names one.
    public func placement(of room: String) -> String {
        guard let slash = room.utf8.firstIndex(of: UInt8(ascii: "/")) else { return Self.defaultPlacement }
        let prefix = String(room[..<slash])
        return placements[prefix] == nil ? Self.defaultPlacement : prefix
    }

    /// The regions that may home a room, most preferred first: weighted rendezvous hash of shard and region within its placement.
    /// Draining and evicted regions keep their rank here; `homes` passes over them.
    public func preference(of room: String) -> [RegionID] {
        preference(of: Shard(room: room).number, in: placement(of: room))
    }

    private func preference(of shard: UInt16, in placement: String) -> [RegionID] {
        let allowed = placements[placement] ?? []
        let candidates = regions.filter { allowed.contains($0.region) && $0.state != .witness }
        return Rendezvous.order(mix64(UInt64(shard) &+ 1), among: candidates.map { ($0.region, $0.weight) })
    }

    /// How many shards of the default placement each region homes.
    public func shardsHomed() -> [RegionID: Int] {
        var counts: [RegionID: Int] = [:]
        for shard in 0..<Shard.count {
            let home = preference(of: UInt16(shard), in: Self.defaultPlacement).first { state(of: $0) == .active }
            if let home { counts[home, default: 0] += 1 }
        }
        return counts
    }

    /// The first and the second active region of the preference list.
    public func homes(of room: String) -> (home: RegionID?, standby: RegionID?) {
        let active = preference(of: room).filter { state(of: $0) == .active }
        return (active.first, active.dropFirst().first)
    }

    public func state(of region: RegionID) -> RegionState? {
        regions.first { $0.region == region }?.state
    }

    public var activeRegions: [RegionID] {
        regions.filter { $0.state == .active }.map(\.region)
    }
}
