import MeshConfiguration
import MeshCore
import NIOCore
import Store
import View

/// How much of its log a room keeps, at the root of the room: told with every append, and enforced before every read.
final class RootRetention {
    let retention: Retention
    private let room: String
    private unowned let cell: Cell
    /// Messages removed by one call of the store.
    private static let trimMost = 256

    init(room: String, cell: Cell) {
        self.room = room
        self.cell = cell
        let placement = cell.topology.view.placement(of: room)
        let kept = cell.context.configuration.mesh.retention.limits(for: room, in: placement)
        retention = Retention(
            messagesMax: kept.messages, ageMax: kept.age, bytesMax: kept.bytes, keysMax: cell.context.limits.dedupKeysPerRoomMax)
    }

    /// As the store's `read`, without what has grown too old since the last append: that is removed first. The read is sent right behind,
    /// so nearly always it costs no round trip more.
    func read(after: Position?, before: Position?, limit: Int, newest: Bool) -> EventLoopFuture<[StoredMessage]> {
        guard retention.ageMax != nil else {
            return cell.store.read(room, after: after, before: before, limit: limit, newest: newest)
        }
        let trimmed = cell.store.trim(room, retention, most: Self.trimMost)
        let messages = cell.store.read(room, after: after, before: before, limit: limit, newest: newest)
        return trimmed.assumeIsolated().flatMap { [self] isDone in
            isDone ? messages : read(after: after, before: before, limit: limit, newest: newest)
        }.nonisolated()
    }
}
