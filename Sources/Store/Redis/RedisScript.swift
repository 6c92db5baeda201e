/// The Lua files, embedded by the package manager. Each says in its header what its keys and arguments are.
enum RedisScript: Int, CaseIterable {
    case attach, boot, roster, lease, dropLease, open, append, trim, deleteRoom, noteRoom, members, counts, typing, seen, receipts
    case pushMark, pushMarks, pushQueue, pushClaim, pushSettle, pushState, pushForget, pushDevice

    var source: [UInt8] {
        switch self {
        case .attach: PackageResources.attach_lua
        case .boot: PackageResources.boot_lua
        case .roster: PackageResources.roster_lua
        case .lease: PackageResources.lease_lua
        case .dropLease: PackageResources.drop_lease_lua
        case .open: PackageResources.log_lua + PackageResources.open_lua
        case .append: PackageResources.log_lua + PackageResources.append_lua
        case .trim: PackageResources.log_lua + PackageResources.trim_lua
        case .deleteRoom: PackageResources.log_lua + PackageResources.delete_room_lua
        case .noteRoom: PackageResources.note_room_lua
        case .members: PackageResources.members_lua
        case .counts: PackageResources.counts_lua
        case .typing: PackageResources.typing_lua
        case .seen: PackageResources.seen_lua
        case .receipts: PackageResources.receipts_lua
        case .pushMark: PackageResources.push_mark_lua
        case .pushMarks: PackageResources.push_marks_lua
        case .pushQueue: PackageResources.push_queue_lua
        case .pushClaim: PackageResources.push_claim_lua
        case .pushSettle: PackageResources.push_settle_lua
        case .pushState: PackageResources.push_state_lua
        case .pushForget: PackageResources.push_forget_lua
        case .pushDevice: PackageResources.push_device_lua
        }
    }
}

/// Scripts whose cost others measure.
public enum StoreScripts {
    /// The source of the script that appends to a room's log; its header says what its keys and arguments are.
    public static var append: String { String(decoding: RedisScript.append.source, as: UTF8.self) }
}
