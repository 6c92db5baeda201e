import MeshCore
import NIOCore

/// What a cell does for the listener: it owns every connection that the listener puts on its event loop. Called there only.
public protocol ClientFront: AnyObject {
    var meter: SendMeter { get }
    /// A connection passed its upgrade and is in its pipeline. Its delegate is set before this returns; without one it is closed.
    func connected(_ connection: ClientConnection)
    /// An HTTP request that is no upgrade.
    func answer(_ question: HTTPQuestion) -> EventLoopFuture<HTTPAnswer>
    func countDrop(_ reason: DropReason)
    /// False while the node drains or has as many connections as it may.
    var acceptsConnections: Bool { get }
}

public struct HTTPQuestion: Sendable {
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
