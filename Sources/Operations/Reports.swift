import MeshCore

/// `GET /readyz`.
public struct Readiness: Codable, Hashable, Sendable {
    public struct Check: Codable, Hashable, Sendable {
        /// `redis`, `mesh`, `lease` or `draining`.
        public var name: String
        public var ok: Bool
        /// For people: what is wrong, or what was found.
        public var detail: String

        public init(name: String, ok: Bool, detail: String) {
            self.name = name
            self.ok = ok
            self.detail = detail
        }
    }

    /// Not the conjunction of the checks: a node that was ready once stays so while its sessions can be served.
    public var ready: Bool
    public var checks: [Check]

    public init(ready: Bool, checks: [Check]) {
        self.ready = ready
        self.checks = checks
    }
}

public enum RegionState: String, Codable, Hashable, Sendable, CaseIterable {
    case up = "UP"
    case suspect = "SUSPECT"
    case down = "DOWN"
    case draining = "DRAINING"
    case evicted = "EVICTED"
}

/// `GET /v1/regions`: the mesh as this node sees it.
public struct RegionsReport: Codable, Hashable, Sendable {
    public struct View: Codable, Hashable, Sendable {
        public var epoch: UInt64
        /// Regions that may home rooms now.
        public var active: [String]

        public init(epoch: UInt64, active: [String]) {
            self.epoch = epoch
            self.active = active
        }
    }

    public struct Region: Codable, Hashable, Sendable {
        public var region: String
        public var state: RegionState
        /// Live nodes.
        public var nodes: Int
        public var sessions: Int
        /// Smoothed, to the nearest gateway of the region; 0 for the own region, null when not measured.
        @OrNull public var rttMs: Double?
        /// Shards of 16384 whose home it is.
        public var shardsHomed: Int
        /// Milliseconds since anything was heard of it; 0 for the own region, null when nothing was heard since the start.
        @OrNull public var lastSeenMs: Int?

        public init(
            region: String, state: RegionState, nodes: Int, sessions: Int, rttMs: Double?, shardsHomed: Int, lastSeenMs: Int?
        ) {
            self.region = region
            self.state = state
            self.nodes = nodes
            self.sessions = sessions
            self.rttMs = rttMs
            self.shardsHomed = shardsHomed
            self.lastSeenMs = lastSeenMs
        }
    }

    private enum CodingKeys: String, CodingKey {
        case view
        case own = "self"
        case regions
    }

    public var view: View
    /// The region of the node that answers; `self` in JSON.
    public var own: String
    public var regions: [Region]

    public init(view: View, own: String, regions: [Region]) {
        self.view = view
        self.own = own
        self.regions = regions
    }
}

public enum NodeState: String, Codable, Hashable, Sendable, CaseIterable {
    case up = "UP"
    case suspect = "SUSPECT"
    case down = "DOWN"
    case draining = "DRAINING"
}

/// `GET /v1/nodes`: every configured node as this one sees it.
public struct NodesReport: Codable, Hashable, Sendable {
    public struct Node: Codable, Hashable, Sendable {
        public var node: String
        public var region: String
        /// Null for a node that was never heard of.
        @OrNull public var boot: Boot?
        public var state: NodeState
        public var sessions: Int
        public var rooms: Int
        /// Whether it keeps links to other regions.
        public var gateway: Bool
        /// Smoothed, over this node's link to it; 0 for the node that answers, null without a link.
        @OrNull public var rttMs: Double?
        /// Bytes that wait for its link.
        public var queuedBytes: Int
        /// Where its clients connect.
        public var url: String

        public init(
            node: String, region: String, boot: Boot?, state: NodeState, sessions: Int, rooms: Int, gateway: Bool, rttMs: Double?,
            queuedBytes: Int, url: String
        ) {
            self.node = node
            self.region = region
            self.boot = boot
            self.state = state
            self.sessions = sessions
            self.rooms = rooms
            self.gateway = gateway
            self.rttMs = rttMs
            self.queuedBytes = queuedBytes
            self.url = url
        }
    }

    private enum CodingKeys: String, CodingKey {
        case own = "self"
        case nodes
    }

    /// The node that answers; `self` in JSON.
    public var own: String
    public var nodes: [Node]

    public init(own: String, nodes: [Node]) {
        self.own = own
        self.nodes = nodes
    }
}

/// `GET /v1/rooms/{room}`: where a room is rooted, and why. The first part is computed and the same from every node
/// within one view; what the root alone knows is null when it could not be asked.
public struct RoomReport: Codable, Hashable, Sendable {
    public struct Head: Codable, Hashable, Sendable {
        public var epoch: UInt64
        public var seq: UInt64

        public init(_ position: Position) {
            epoch = position.epoch
            seq = position.seq
        }
    }

    public struct View: Codable, Hashable, Sendable {
        public var epoch: UInt64
        public init(epoch: UInt64) { self.epoch = epoch }
    }

    public var room: String
    public var shard: UInt16
    /// Name of the list of regions that may home the room.
    public var placement: String
    /// Regions, most preferred first.
    public var preference: [String]
    public var view: View
    @OrNull public var home: String?
    @OrNull public var standby: String?
    /// The node of the home region that hosts the room.
    @OrNull public var root: String?
    @OrNull public var rosterVersion: UInt64?
    /// Last position handed out.
    @OrNull public var head: Head?
    /// Sessions by region.
    @OrNull public var subscribers: [String: Int]?
    @OrNull public var members: Int?
    /// The decision in sentences, one step each.
    public var why: [String]

    public init(
        room: String, shard: UInt16, placement: String, preference: [String], viewEpoch: UInt64, home: String?, standby: String?,
        root: String?, rosterVersion: UInt64?, head: Position?, subscribers: [String: Int]?, members: Int?, why: [String]
    ) {
        self.room = room
        self.shard = shard
        self.placement = placement
        self.preference = preference
        self.view = View(epoch: viewEpoch)
        self.home = home
        self.standby = standby
        self.root = root
        self.rosterVersion = rosterVersion
        self.head = head.map(Head.init)
        self.subscribers = subscribers
        self.members = members
        self.why = why
    }
}

/// `GET /v1/route` of the client listener: where a user or a room is at home and where to connect.
public struct RouteReport: Codable, Hashable, Sendable {
    public struct Edge: Codable, Hashable, Sendable {
        public var region: String
        public var url: String
        public var healthy: Bool
        /// Sessions, or any other measure that grows with them; comparable between edges.
        public var load: Double

        public init(region: String, url: String, healthy: Bool, load: Double) {
            self.region = region
            self.url = url
            self.healthy = healthy
            self.load = load
        }
    }

    public var room: String
    public var shard: UInt16
    @OrNull public var home: String?
    @OrNull public var standby: String?
    /// The epoch of the view.
    public var view: UInt64
    /// Best first.
    public var edges: [Edge]

    public init(room: String, shard: UInt16, home: String?, standby: String?, view: UInt64, edges: [Edge]) {
        self.room = room
        self.shard = shard
        self.home = home
        self.standby = standby
        self.view = view
        self.edges = edges
    }
}

/// Any answer other than 2xx.
public struct ErrorReport: Codable, Hashable, Sendable {
    public var error: String
    public init(error: String) { self.error = error }
}

/// A value whose key is always there: null, not absent, when it is not known.
@propertyWrapper
public struct OrNull<Value: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
    public var wrappedValue: Value?

    public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    public init(from decoder: any Decoder) throws {
        wrappedValue = try decoder.singleValueContainer().decode(Value?.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

extension KeyedDecodingContainer {
    /// An older node may leave a key out.
    func decode<Value>(_ type: OrNull<Value>.Type, forKey key: Key) throws -> OrNull<Value> {
        try decodeIfPresent(type, forKey: key) ?? OrNull(wrappedValue: nil)
    }
}
