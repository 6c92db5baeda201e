import MeshCore

/// Who a node says it is in the handshake of a link.
public struct LinkIdentity: Hashable, Sendable {
    /// Bumped when frames change in a way that an older node cannot read.
    public static let protocolVersion: UInt32 = 1
    public var mesh: String
    public var version: UInt32
    public var owner: NodeBoot

    public init(mesh: String, version: UInt32 = Self.protocolVersion, owner: NodeBoot) {
        self.mesh = mesh
        self.version = version
        self.owner = owner
    }
}

/// The first frame of each side of a link.
public struct LinkHello: Hashable, Sendable {
    public var identity: LinkIdentity
    /// Whom the side that dialled expects to reach. Nil in the answer.
    public var expected: NodeID?

    public init(identity: LinkIdentity, expected: NodeID? = nil) {
        self.identity = identity
        self.expected = expected
    }
}

/// Which end of a link this node is.
public enum LinkRole: Hashable, Sendable {
    case dialer(of: NodeID)
    case acceptor

    /// Of two nodes the smaller one dials, so that there is one link and not two that take turns to replace each other.
    public static func dials(_ own: NodeID, to peer: NodeID) -> Bool { own < peer }
}

/// Why a hello is turned down. The text is what both logs show.
public enum LinkRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case otherMesh(String)
    case otherVersion(UInt32)
    case ownName
    /// The node that answered is not the one that was dialled, or the node that dialled looked for another one.
    case wrongAddress(expected: NodeID, found: NodeID)
    /// The smaller node of a pair dials; this one is the greater.
    case wrongDirection(NodeID)
    case unknownNode(NodeID)
    case olderBoot(Boot, newest: Boot)
    /// The peer's certificate is for somebody else than the node that it says it is.
    case otherCertificate(NodeID, certifiedNames: [String])

    public var description: String {
        switch self {
        case .otherMesh(let name): "mesh name \(name) is not ours"
        case .otherVersion(let version): "link version \(version) is not ours"
        case .ownName: "the peer carries this node's own name"
        case .wrongAddress(let expected, let found): "expected \(expected), found \(found)"
        case .wrongDirection(let node): "\(node) must wait to be dialled"
        case .unknownNode(let node): "\(node) is not a peer"
        case .olderBoot(let boot, let newest): "boot \(boot) is older than \(newest)"
        case .otherCertificate(let node, let names):
            "the certificate of \(node) is for \(names.isEmpty ? "no node" : names.joined(separator: ", "))"
        }
    }
}
