import NIOCore

/// Obeys what the links of this node report. Called on the event loop of `MeshLinks`, and may call back into it.
public protocol MeshLinksDelegate: AnyObject {
    /// The handshake is done. A link to the same peer that was up before has been reported down first.
    func linkUp(_ link: MeshLink)
    /// No frame of this link comes after this call.
    func linkDown(_ link: MeshLink, reason: String)
    /// The payloads of whole frames, in the order in which the peer sent them, all that came in one read. They share the
    /// buffer that was read: copy what is kept for long.
    func linkReceived(_ frames: [ByteBuffer], lane: LinkLane, from link: MeshLink)
}
