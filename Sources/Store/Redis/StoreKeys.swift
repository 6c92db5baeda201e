import MeshCore

/// The names of everything that Heliograph keeps in a region's Redis.
///
/// Keys of a room are `hg:<kind>:{T}:<room>`, T being the room's own hash tag or else the whole room, so that all of them lie in the
/// room's shard. The others belong to the region.
enum StoreKeys {
    /// Hash: incarnation, epoch, run.
    static let identity = "hg:store"
    /// Hash: node → last boot.
    static let boots = "hg:boot"
    /// Hash: version, nodes as a JSON list.
    static let roster = "hg:roster"
    /// Written by each new connection, to see whether it can.
    static let writeProbe = "hg:probe"

    /// String: the boot that holds the lease. Lives as long as the lease.
    static func lease(_ node: NodeID) -> String { "hg:lease:\(node)" }

    /// Notes that notifications are owed: a sorted set and a hash (push_mark.lua). All keys of the queues have one hash tag: scripts
    /// change a note and the queues in one step.
    static let pushMarks = ["hg:pushes:{pushes}:marks", "hg:pushes:{pushes}:after"]

    /// The queue of a service: due, added, claims, bodies (push_queue.lua).
    static func pushQueue(_ service: String) -> [String] {
        ["due", "added", "claims", "bodies"].map { "hg:pushes:{pushes}:\(service):\($0)" }
    }

    enum RoomKind: String, CaseIterable {
        /// Hash: what a root needs to go on with the log (open.lua).
        case meta
        /// Stream: the messages, id `epoch-seq`, fields `at` and `body`.
        case log
        /// Hash: epoch → `first-last`.
        case epochs
        /// Hash: user NUL key → `epoch-seq-at`. Lives one dedup window.
        case keys
        /// List: when each of those keys is forgotten, oldest first.
        case expiry
        /// Hash: `<region>/<node>#<boot>/<session>` → JSON.
        case members
        /// Hash, of large rooms instead of `members`: `<region>/<node>#<boot>` → sessions.
        case counts
        /// Sorted set: user → ms at which the typing ends. Lives a second longer than its last entry.
        case typing
        /// Hash: user → `delivered read`, and user NUL for what she confirmed while she was invisible.
        case receipts
        /// String, of `@user` rooms: ms of last-seen.
        case seen
        /// Hash, of `@user` rooms: device → where to push to.
        case push
        /// Sorted set, of `@user` rooms: the rooms in which she has receipts.
        case rooms

        /// What stays of a deleted room, so that no position is handed out twice.
        static let tombstone: [RoomKind] = [.meta, .epochs]
        /// What an inbox holds of its user rather than of its messages.
        static let ofUser: [RoomKind] = [.seen, .push, .rooms]
        /// What goes with the messages of a room.
        static let ofMessages = allCases.filter { !tombstone.contains($0) && !ofUser.contains($0) }
    }

    static func room(_ kind: RoomKind, _ room: String) -> String {
        "hg:\(kind.rawValue):{\(HashTag(of: room).text)}:\(room)"
    }
}
