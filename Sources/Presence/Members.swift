import MeshCore

/// One session in a room, as its owner announces it.
public struct MemberEntry: Hashable, Sendable {
    public var session: UInt64
    public var user: String
    public var device: String
    public var status: Status
    public var note: String

    public init(session: UInt64, user: String, device: String, status: Status, note: String) {
        self.session = session
        self.user = user
        self.device = device
        self.status = status
        self.note = note
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
    /// the same). Nil when nothing is to be shown: no session, or one of them is invisible.
    public static func merging(_ user: String, _ sessions: some Collection<MemberEntry>) -> Member? {
        guard !sessions.contains(where: { $0.status == .invisible }) else { return nil }
        let decisive = sessions.max { a, b in
            (rank(a.status), a.session, a.device, a.note) < (rank(b.status), b.session, b.device, b.note)
        }
        guard let decisive else { return nil }
        let devices = sessions.count == 1 ? 1 : Set(sessions.map(\.device)).count
        return Member(user: user, status: decisive.status, note: decisive.note, devices: devices)
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
