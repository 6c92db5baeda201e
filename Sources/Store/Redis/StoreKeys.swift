import MeshCore

/// The names of everything that Heliograph keeps in a region's Redis.
///
/// Keys of a room are `hg:<kind>:{T}:<room>`, T being the room's own hash tag or else the whole room, so that all of them lie in the
/// room's shard. The others belong to the region.
enum StoreKeys {
    static let identity = "hg:store"
    static let boots = "hg:boot"
    static let roster = "hg:roster"
    static let writeProbe = "hg:probe"

    static func lease(_ node: NodeID) -> String { "hg:lease:\(node)" }

    enum RoomKind: String, CaseIterable {
        case meta, log, epochs, keys, expiry, members, typing, seen
    }

    static func room(_ kind: RoomKind, _ room: String) -> String {
        "hg:\(kind.rawValue):{\(HashTag(of: room).text)}:\(room)"
    }
}
