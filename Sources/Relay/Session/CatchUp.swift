import MeshCore
import Rooms

/// A room of whose messages a session has some to read before it is fed with new ones: it has come back, asked for earlier ones, or was too
/// slow.
struct CatchUp {
    /// How the client is told where the replay begins.
    enum Opening {
        case reply(UInt32)
        /// In the welcome, if it is found in time.
        case welcome
        case push
    }

    /// Tells a late answer from one that is waited for.
    var number: UInt64
    var start: ReplayStart
    /// Everything up to here was sent. Nil before the first page.
    var cursor: Position?
    /// Nil once the client was told.
    var opening: Opening?
    var isReading = false
    var begunAt: Instant
    /// Not read before, after a refusal.
    var retryAt = Instant.zero
    /// The first page, while the welcome is not sent.
    var held: ReplayPage<RoomMessage>?

    var next: ReplayStart { cursor.map { .after($0) } ?? start }
}
