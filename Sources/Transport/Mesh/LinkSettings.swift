import MeshCore

/// Where a node listens for links, or where a peer is dialled.
public struct LinkAddress: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// The periods and bounds of the links of a node.
public struct LinkSettings: Hashable, Sendable {
    public var pingEvery = TimeSpan.milliseconds(500)
    /// A link without any byte for this long is closed.
    public var silence = TimeSpan.seconds(3)
    /// From connecting to the peer's hello.
    public var handshakeTimeout = TimeSpan.seconds(5)
    public var redialLeast = TimeSpan.milliseconds(100)
    public var redialMost = TimeSpan.seconds(2)
    /// A link that stood for this long was a good one: the next back-off starts at `redialLeast`.
    public var stableAfter = TimeSpan.seconds(5)
    /// How long a link that this side ends may take to send its last frames.
    public var lingerMost = TimeSpan.seconds(1)
    /// Bytes of one link that wait for the kernel. Past it the link is closed: it has no holes while it is up.
    public var queueBytesMax = 32 << 20
    /// Lane and payload of one frame. A longer one ends the link.
    public var frameBytesMax = 4 << 20
    /// The same before the handshake is done, when anybody may speak.
    public var helloBytesMax = 4 << 10
    /// Accepted connections that have not said hello. One more is closed at once.
    public var handshakesMax = 128

    public init() {}
}
