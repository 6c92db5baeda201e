import MeshCore
import NIOCore

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

/// Frames of one lane keep their order; a control frame overtakes tree frames that still wait in this process.
public enum LinkLane: UInt8, Sendable, CaseIterable {
    case control = 0
    case tree = 1
}

/// Obeys what the links of this node report. Called on the event loop of `MeshLinks`.
public protocol MeshLinksDelegate: AnyObject {
    /// The handshake is done. A link to the same peer that was up before has been reported down first.
    func linkUp(_ link: MeshLink)
    /// No frame of this link comes after this call.
    func linkDown(_ link: MeshLink, reason: String)
    /// Whole frames, in order, without their length prefix.
    func linkReceived(_ frames: [ByteBuffer], lane: LinkLane, from link: MeshLink)
}
