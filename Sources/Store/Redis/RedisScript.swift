/// The Lua files, embedded by the package manager. Each says in its header what its keys and arguments are.
enum RedisScript: Int, CaseIterable {
    case attach, boot, roster, lease, dropLease, open, append, members, counts, typing, seen

    var source: [UInt8] {
        switch self {
        case .attach: PackageResources.attach_lua
        case .boot: PackageResources.boot_lua
        case .roster: PackageResources.roster_lua
        case .lease: PackageResources.lease_lua
        case .dropLease: PackageResources.drop_lease_lua
        case .open: PackageResources.open_lua
        case .append: PackageResources.append_lua
        case .members: PackageResources.members_lua
        case .counts: PackageResources.counts_lua
        case .typing: PackageResources.typing_lua
        case .seen: PackageResources.seen_lua
        }
    }
}
