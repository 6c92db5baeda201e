import MeshCore

/// Everything one node needs to know to start: its own place, the mesh that it belongs to, its store and its limits.
/// Made by `ConfigurationLoader` from `regions/<region>.yaml` and the `mesh.yaml` it names.
public struct NodeConfiguration: Sendable {
    public var mesh: MeshDescription
    public var node: NodeID
    public var addresses: NodeAddresses
    public var store: StoreConfiguration
    public var tls: TLSConfiguration
    /// Whether permessage-deflate is agreed on with clients that offer it.
    public var compression: Bool
    /// Event loops that own sessions and rooms.
    public var cells: Int
    public var logging: LoggingConfiguration
    public var limits: RelayLimits
    public var timings: RelayTimings
    /// Nil: nobody is told of messages for users without a session.
    public var push: PushConfiguration?
    public init(
        mesh: MeshDescription, node: NodeID, addresses: NodeAddresses, store: StoreConfiguration,
        tls: TLSConfiguration = .init(), compression: Bool = true, cells: Int, logging: LoggingConfiguration = .init(),
        limits: RelayLimits = .init(),
        timings: RelayTimings = .init(), push: PushConfiguration? = nil
    ) {
        self.mesh = mesh
        self.node = node
        self.addresses = addresses
        self.store = store
        self.tls = tls
        self.compression = compression
        self.cells = cells
        self.logging = logging
        self.limits = limits
        self.timings = timings
        self.push = push
    }
}

/// What all nodes of a mesh share: `mesh.yaml`.
public struct MeshDescription: Sendable {
    /// Told in the handshake of every link; another name is refused.
    public var name: String
    /// In the order of the file.
    public var regions: [RegionDescription]
    /// Named lists of regions that may home rooms. `default` always exists.
    public var placements: [String: [RegionID]]
    /// The file with the HS256 secret that client tokens are signed with.
    public var tokenSecretFile: String
    /// How much of their logs rooms keep.
    public var retention: RetentionRules

    public init(
        name: String, regions: [RegionDescription], placements: [String: [RegionID]], tokenSecretFile: String,
        retention: RetentionRules = .init()
    ) {
        self.name = name
        self.regions = regions
        self.placements = placements
        self.tokenSecretFile = tokenSecretFile
        self.retention = retention
    }
}

public struct RegionDescription: Sendable {
    public var region: RegionID
    /// 0 homes nothing.
    public var weight: UInt32
    /// The seed list: every node that may run in the region.
    public var nodes: [SeedNode]

    public init(region: RegionID, weight: UInt32 = 100, nodes: [SeedNode]) {
        self.region = region
        self.weight = weight
        self.nodes = nodes
    }
}

public struct SeedNode: Sendable {
    public var node: NodeID
    public var addresses: NodeAddresses
    public init(node: NodeID, addresses: NodeAddresses) {
        self.node = node
        self.addresses = addresses
    }
}

public struct HostPort: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Where a node listens. `clientURL` is what other edges hand out to clients; it defaults to `http://` and `client`.
public struct NodeAddresses: Hashable, Sendable {
    public var client: HostPort
    public var operations: HostPort
    public var mesh: HostPort
    public var clientURL: String

    public init(client: HostPort, operations: HostPort, mesh: HostPort, clientURL: String? = nil) {
        self.client = client
        self.operations = operations
        self.mesh = mesh
        self.clientURL = clientURL ?? "http://\(client)"
    }
}

public enum StoreConfiguration: Hashable, Sendable {
    case redis(HostPort)
    /// In this process's memory: for a quick try with one node a region.
    case embedded
}

public struct LoggingConfiguration: Hashable, Sendable {
    public enum Format: String, Sendable, CaseIterable { case text, json }
    /// A swift-log level name.
    public var level: String
    public var format: Format
    public init(level: String = "info", format: Format = .text) {
        self.level = level
        self.format = format
    }
}

/// Every bound of a node that an operator may set. Actions at the bound are in the reference ("Limits").
public struct RelayLimits: Hashable, Sendable {
    public var maxFrameBytes = 65_536
    public var maxHelloBytes = 1 << 20
    public var maxServerFrameBytes = 1 << 20
    public var connectionsMax = 100_000
    public var connectionsPerAddressMax = 20_000
    /// Of each cell; half as many in a burst.
    public var hellosPerSecondMax = 1_000
    /// Of each cell: calls to the store for which no client waits.
    public var backgroundStoreCallsMax = 128
    /// Of an HTTP/2 connection, open at once.
    public var streamsPerConnectionMax = 256
    /// Of one request, on either version of HTTP: names and values, and on HTTP/2 32 bytes more for each field.
    public var headerBytesMax = 16 << 10
    public var headersMax = 100
    /// Of an HTTP/2 connection, reset by either side. Ten times as many may come in a burst.
    public var streamResetsPerSecondMax = 100
    /// PING, SETTINGS, PRIORITY and empty DATA of an HTTP/2 connection. Ten times as many may come in a burst.
    public var controlFramesPerSecondMax = 50
    public var subscriptionsPerSessionMax = 5_000
    public var watchedUsersPerSessionMax = 1_000
    /// Sessions that have ended and are still shown, because they may come back.
    public var lingeringSessionsMax = 100_000
    public var publishesInFlightPerSessionMax = 1_024
    /// Bytes that wait for one session before it is a slow consumer.
    public var outboxBytesMax = 4 << 20
    /// Bytes that wait for one link; past it the link is closed and comes back.
    public var linkQueueBytesMax = 32 << 20
    public var meshFrameBytesMax = 16 << 20
    public var publishQueuePerRoomMax = 4_096
    public var publishBytesPerRoomMax = 16 << 20
    /// Of a room, at each level of its tree.
    public var tailMessagesMax = 256
    public var tailBytesMax = 1 << 20
    /// Of all rooms of a cell together.
    public var tailBytesPerCellMax = 128 << 20
    /// Of one session. Twice as many may come in a burst.
    public var publishesPerSecondMax = 1_000
    public var requestsInFlightMax = 50_000
    /// Users of a room whose receipts are told one by one; above it a summary is.
    public var receiptUsersMax = 100
    public var dedupKeysPerRoomMax = 100_000
    /// Rooms in which a user has something of hers beside messages, as they are remembered for her deletion.
    public var roomsPerUserMax = 10_000

    public init() {}
}

/// Every period of a node that an operator may set. The relations between them are checked at start.
public struct RelayTimings: Hashable, Sendable {
    public var handshakeTimeout = TimeSpan.seconds(10)
    public var helloTimeout = TimeSpan.seconds(10)
    /// An HTTP/2 connection without streams is asked to go after this long.
    public var connectionIdle = TimeSpan.seconds(60)
    /// An HTTP/2 connection whose peer takes nothing for this long is closed.
    public var writeTimeout = TimeSpan.seconds(20)
    /// A session whose peer takes nothing of what waits for it for this long is told to come back.
    public var outboxStall = TimeSpan.seconds(30)
    public var heartbeatDefault = TimeSpan.seconds(25)
    public var linkPing = TimeSpan.milliseconds(500)
    public var linkSilence = TimeSpan.seconds(3)
    public var linkHandshakeTimeout = TimeSpan.seconds(5)
    public var redialLeast = TimeSpan.milliseconds(100)
    public var redialMost = TimeSpan.seconds(2)
    /// How long a lost node may come back before its place in the roster is taken away.
    public var nodeDown = TimeSpan.seconds(1)
    public var presenceGrace = TimeSpan.seconds(5)
    /// How long a session whose transport was lost is still shown.
    public var sessionGrace = TimeSpan.seconds(5)
    public var presenceCoalesce = TimeSpan.milliseconds(200)
    public var typingTTL = TimeSpan.seconds(6)
    public var interestLinger = TimeSpan.seconds(2)
    public var publishDeadline = TimeSpan.seconds(30)
    public var requestDeadline = TimeSpan.seconds(5)
    public var storeDeadline = TimeSpan.seconds(2)
    public var nodeLease = TimeSpan.seconds(5)
    /// How long a stopping node waits for its sessions to go.
    public var drain = TimeSpan.seconds(10)

    public init() {}
}
