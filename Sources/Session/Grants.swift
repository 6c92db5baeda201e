import MeshCore

/// What a session may do in a room.
public enum Permission: String, Hashable, Sendable, CaseIterable {
    case subscribe, publish, presence, history, moderate
}

public enum Role: String, Hashable, Sendable {
    case admin, member, guest

    /// What the role allows in rooms that no grant of the token names.
    public var permissions: Set<Permission> {
        switch self {
        case .admin: Set(Permission.allCases)
        case .member: [.subscribe, .publish, .presence, .history]
        case .guest: [.subscribe, .presence, .history]
        }
    }
}

/// What a verified token says about its bearer.
public struct Grants: Hashable, Sendable {
    public struct RoomGrant: Hashable, Sendable {
        public var match: RoomPattern
        public var can: Set<Permission>
        public init(match: String, can: Set<Permission>) {
            self.match = RoomPattern(match)
            self.can = can
        }
    }

    public var user: String
    public var device: String?
    public var role: Role
    /// Nil: what the role allows everywhere. Otherwise only what a grant names, in rooms that it matches.
    public var rooms: [RoomGrant]?
    /// Seconds since 1970.
    public var expiresAt: Int64

    public init(user: String, device: String? = nil, role: Role = .member, rooms: [RoomGrant]? = nil, expiresAt: Int64) {
        self.user = user
        self.device = device
        self.role = role
        self.rooms = rooms
        self.expiresAt = expiresAt
    }

    /// Whether the bearer may do this. `@name` is read by `name` alone, whatever a grant says; others may publish to it.
    public func allows(_ permission: Permission, in room: String) -> Bool {
        if let owner = NameRules.owner(ofInbox: room) {
            if owner == user { return true }
            if permission == .subscribe || permission == .history { return false }
        }
        guard let rooms else { return role.permissions.contains(permission) }
        return rooms.contains { $0.match.matches(room) && $0.can.contains(permission) }
    }
}
