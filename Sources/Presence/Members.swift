import MeshCore

/// One session in a room, as its owner announces it.
public struct MemberEntry: Hashable, Sendable {
    public var session: UInt64
    public var user: String
    public var device: String
    public var status: Status
    public var note: String
    /// Kept when the session is taken over, so that the copies of its old and its new owner are known to be one. 0: it has none.
    public var identity: UInt64
    /// Grows with each takeover: of the copies of one identity the highest counts.
    public var taken: UInt64

    public init(session: UInt64, user: String, device: String, status: Status, note: String, identity: UInt64 = 0, taken: UInt64 = 0) {
        self.session = session
        self.user = user
        self.device = device
        self.status = status
        self.note = note
        self.identity = identity
        self.taken = taken
    }
}

/// One user in a room, merged over her sessions.
public struct Member: Hashable, Sendable {
    public var user: String
    public var status: Status
    public var note: String
    /// Distinct device ids.
    public var devices: Int

    public init(user: String, status: Status, note: String, devices: Int) {
        self.user = user
        self.status = status
        self.note = note
        self.devices = devices
    }

    /// Merges a user's sessions: busy over online over away; the note is that of the session that decides, the one started last
    /// among equals (sessions of two nodes may bear the same number: then the device and the note decide, so that the answer is always
    /// the same). Of a session that was taken over only the newest copy counts. Nil when nothing is to be shown: no session, or one of
    /// them is invisible.
    public static func merging(_ user: String, _ entries: [MemberEntry]) -> Member? {
        let sessions = withoutOldCopies(entries)
        guard !sessions.contains(where: { $0.status == .invisible }) else { return nil }
        let decisive = sessions.max { a, b in
            (rank(a.status), a.session, a.device, a.note) < (rank(b.status), b.session, b.device, b.note)
        }
        guard let decisive else { return nil }
        let devices = sessions.count == 1 ? 1 : Set(sessions.map(\.device)).count
        return Member(user: user, status: decisive.status, note: decisive.note, devices: devices)
    }

    /// Whether one of a user's sessions, as the newest copy of it says, is invisible.
    public static func isHidden(_ entries: [MemberEntry]) -> Bool {
        withoutOldCopies(entries).contains { $0.status == .invisible }
    }

    /// One entry for each identity. A user has few sessions, so comparing all of them is the fastest way.
    private static func withoutOldCopies(_ entries: [MemberEntry]) -> [MemberEntry] {
        guard entries.count > 1 else { return entries }
        return entries.indices.filter { index in
            !entries.indices.contains { other in other != index && supersedes(entries[other], other, entries[index], index) }
        }.map { entries[$0] }
    }

    /// Whether `a` is a newer copy of the same session as `b`. Of equal ones the later in the list stays.
    private static func supersedes(_ a: MemberEntry, _ aIndex: Int, _ b: MemberEntry, _ bIndex: Int) -> Bool {
        guard a.identity != 0, a.identity == b.identity else { return false }
        if a.taken != b.taken { return a.taken > b.taken }
        let aKey = (a.session, rank(a.status), a.device, a.note)
        let bKey = (b.session, rank(b.status), b.device, b.note)
        return aKey == bKey ? aIndex > bIndex : aKey > bKey
    }

    private static func rank(_ status: Status) -> Int {
        switch status {
        case .busy: 3
        case .online: 2
        case .away: 1
        case .invisible, .offline, .unknown: 0
        }
    }
}

/// What changed in a room's members since the last diff.
public struct MemberDiff: Hashable, Sendable {
    public var joined: [Member] = []
    public var updated: [Member] = []
    public var left: [String] = []
    /// All members after it.
    public var count = 0
    /// When the room is a user's inbox and she left: her last-seen time.
    public var lastSeen: WallMilliseconds = 0
    /// The room has too many members to show all: these are the changes of those that are shown, and `updated` is for mirrors alone.
    public var isLarge = false

    public init() {}

    /// The same in pieces of at most `entriesMax` members, in order; almost always one.
    public func parts(entriesMax: Int) -> [MemberDiff] {
        guard joined.count + updated.count + left.count > entriesMax else { return [self] }
        var parts: [MemberDiff] = []
        func add(_ count: Int, _ fill: (inout MemberDiff, Range<Int>) -> Void) {
            for start in stride(from: 0, to: count, by: entriesMax) {
                var part = MemberDiff()
                part.count = self.count
                part.lastSeen = lastSeen
                part.isLarge = isLarge
                fill(&part, start..<min(count, start + entriesMax))
                parts.append(part)
            }
        }
        add(joined.count) { $0.joined = Array(joined[$1]) }
        add(updated.count) { $0.updated = Array(updated[$1]) }
        add(left.count) { $0.left = Array(left[$1]) }
        return parts
    }

    public var isEmpty: Bool { joined.isEmpty && updated.isEmpty && left.isEmpty }
}
