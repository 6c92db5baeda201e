import MeshCore
import NIOCore
import TLS

/// What a cell does for the listener: it owns every connection that the listener puts on its event loop. Called there only.
public protocol ClientFront: AnyObject {
    /// What the connections of the cell share.
    var tools: ConnectionTools { get }
    /// A connection has found its door. Its delegate is set before this returns; without one it is closed.
    func connected(_ connection: ClientConnection)
    /// An HTTP request that opens no session.
    func answer(_ question: HTTPQuestion) -> EventLoopFuture<HTTPAnswer>
    func countDrop(_ reason: DropReason)
    /// A TLS handshake was finished.
    func secured(_ handshake: TLSHandshake)
    /// False while the node drains or has as many connections as it may.
    var acceptsConnections: Bool { get }
}

public struct HTTPQuestion: Hashable, Sendable {
    public var method: String
    public var path: String
    /// Percent-decoded; the first value of a name.
    public var query: [String: String]
}

public struct HTTPAnswer: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: String?

    public init(status: Int, headers: [(name: String, value: String)] = [], body: String? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}
