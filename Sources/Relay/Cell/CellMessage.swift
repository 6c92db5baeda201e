import Membership
import MeshCore
import NIOCore
import Store
import Transport
import View

/// What one cell, or the mesh driver, has for another. Within a tick they travel as one batch.
enum CellMessage: Sendable {
    case up(room: String, child: ChildID, TreeUp)
    /// For the leaf of a room on this cell, from the hub of the same node.
    case downToLeaf(room: String, TreeDown)
    /// For the hub of a room on this cell, from the node above.
    case downToHub(room: String, parent: NodeID, TreeDown)
    case request(room: String, RootRequest)
    case response(RootResponse)
    /// A session of this cell goes on elsewhere; on the first cell, a session of another node.
    case taken(SessionTaken)
    /// Whether the user of a session of this cell hides.
    case hidden(session: UInt64, Bool)
    case announced(NodeID, AnnouncementRounds.Mark)
    case nodeRequest(NodeRequest)
    case endSessions(user: String)
    case topology(Topology)
    case linkUp(MeshLink)
    /// A newer link to the same node may be up already.
    case linkDown(NodeID, LinkNumber)
    case peers([NodeID: PeerFigures])
    /// The highest store epoch of this region that anybody knows.
    case storeEpochKnown(UInt64)
    case draining(DrainNotice)
}

/// What a stopping node tells its sessions.
struct DrainNotice: Sendable {
    var edges: [String]
    var windowMs: Int
    var seed: UInt64
}

/// Where to send messages for a cell, from any thread.
struct CellPort: Sendable {
    let loop: any EventLoop
    let cell: NIOLoopBound<Cell>

    func post(_ messages: [CellMessage]) {
        loop.execute { cell.value.receive(messages) }
    }

    /// Runs on the cell's event loop.
    func ask<Answer: Sendable>(_ body: @escaping @Sendable (Cell) -> Answer) async -> Answer? {
        try? await loop.submit { body(cell.value) }.get()
    }
}
