import MeshCore
import Presence
import Wire

// What the pure modules decide, as the client protocol says it. Every scalar is set: the JSON form prints it also at its default.

extension RelayPosition {
    init(_ position: Position) {
        self.init()
        epoch = position.epoch
        seq = position.seq
    }

    /// Nil for the absent one.
    var place: Position { Position(epoch: epoch, seq: seq) }
}

extension RelayStatus {
    init(_ status: Status) { self = RelayStatus(rawValue: Int(status.rawValue)) ?? .unknown }
}

extension Status {
    /// Nil for what a client may not say of itself.
    init?(claimed status: RelayStatus) {
        switch status {
        case .online: self = .online
        case .away: self = .away
        case .busy: self = .busy
        case .invisible: self = .invisible
        case .offline, .unknown, .UNRECOGNIZED: return nil
        }
    }
}

extension RelayMember {
    init(_ member: Member) {
        self.init()
        user = member.user
        status = RelayStatus(member.status)
        note = member.note
        devices = UInt32(member.devices)
    }
}

extension RelayRoomPresence {
    init(_ name: String, _ diff: MemberDiff) {
        self.init()
        room = name
        joined = diff.joined.map(RelayMember.init)
        updated = diff.updated.map(RelayMember.init)
        left = diff.left
        count = UInt32(diff.count)
    }
}

extension RelayUserPresence {
    /// - Parameter member: nil while she is offline or hidden.
    init(_ name: String, _ member: Member?, lastSeen seen: WallMilliseconds) {
        self.init()
        user = name
        status = member.map { RelayStatus($0.status) } ?? .offline
        lastSeen = seen
        devices = UInt32(member?.devices ?? 0)
    }
}

extension RelayUserState {
    init(_ presence: RelayUserPresence) {
        self.init()
        user = presence.user
        status = presence.status
        lastSeen = presence.lastSeen
        devices = presence.devices
    }
}

extension RelayError {
    init(_ errorCode: RelayErrorCode, _ text: String, retryAfterMs retry: Int = 0) {
        self.init()
        code = errorCode
        message = text
        retryAfterMs = UInt32(clamping: retry)
    }
}
