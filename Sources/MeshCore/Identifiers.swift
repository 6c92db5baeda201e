/// The name of a region, as configured: `eu-west`.
public struct RegionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }
    public static func < (a: RegionID, b: RegionID) -> Bool { a.name < b.name }
}

/// One relay process, named by its region and its name there: `eu-west/eu-west-0`.
public struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let region: RegionID
    public let name: String

    public init(region: RegionID, name: String) {
        self.region = region
        self.name = name
    }

    /// Reads what `description` writes. Nil for text without a region part.
    public init?(_ text: some StringProtocol) {
        guard let slash = text.firstIndex(of: "/"), slash != text.startIndex else { return nil }
        let name = text[text.index(after: slash)...]
        guard !name.isEmpty else { return nil }
        self.init(region: RegionID(String(text[..<slash])), name: String(name))
    }

    public var description: String { "\(region.name)/\(name)" }

    public static func < (a: NodeID, b: NodeID) -> Bool {
        a.region == b.region ? a.name < b.name : a.region < b.region
    }
}

/// A number that grows with each start of a node. The same node with a higher boot is a new replica.
public typealias Boot = UInt64

/// One run of one node.
public struct NodeBoot: Hashable, Sendable, CustomStringConvertible {
    public let node: NodeID
    public let boot: Boot

    public init(node: NodeID, boot: Boot) {
        self.node = node
        self.boot = boot
    }

    public var description: String { "\(node)#\(boot)" }
}

/// Who stands below a hub of a room: the cells of its own node and other nodes.
public enum ChildID: Hashable, Sendable {
    case cell(Int)
    case node(NodeID)
    /// What the store remembers of a room, until somebody speaks for it.
    case store
}
