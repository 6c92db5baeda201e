import MeshCore
import SwiftProtobuf
import Wire

/// A session where it goes on.
struct SessionHeir: Hashable, Sendable {
    var owner: NodeBoot
    var number: UInt64
}

/// Says to the owner of a session that it goes on elsewhere.
struct SessionTaken: Hashable, Sendable {
    var owner: NodeBoot
    /// Of the session at its owner.
    var number: UInt64
    var identity: UInt64
    /// Of the session that goes on.
    var taken: UInt64
    var heir: SessionHeir
    var hops = 0

    /// Which of two takeovers of one session counts: the later one. Those of the same moment have an order too, the same everywhere.
    static func isLater(_ a: (taken: UInt64, heir: SessionHeir), than b: (taken: UInt64, heir: SessionHeir)) -> Bool {
        (a.taken, a.heir.owner.description, a.heir.number) > (b.taken, b.heir.owner.description, b.heir.number)
    }

    /// The number of a takeover: greater than the one before, and in the order of time between takeovers that do not know of each other.
    static func next(after taken: UInt64, now: WallMilliseconds) -> UInt64 { max(taken + 1, UInt64(max(0, now))) }

    /// Nil for what is no takeover of this version.
    init?(_ frame: MeshSessionTaken) {
        guard frame.hasOwner, frame.hasSuccessor else { return nil }
        owner = TreeCodec.owner(frame.owner)
        number = frame.session
        identity = frame.identity
        taken = frame.taken
        heir = SessionHeir(owner: TreeCodec.owner(frame.successor), number: frame.successorSession)
        hops = Int(frame.hops)
    }

    init(owner: NodeBoot, number: UInt64, identity: UInt64, taken: UInt64, heir: SessionHeir) {
        self.owner = owner
        self.number = number
        self.identity = identity
        self.taken = taken
        self.heir = heir
    }

    var frame: MeshTreeFrame {
        var frame = MeshTreeFrame()
        frame.sessionTaken = .with {
            $0.owner = TreeCodec.owner(owner)
            $0.session = number
            $0.identity = identity
            $0.taken = taken
            $0.successor = TreeCodec.owner(heir.owner)
            $0.successorSession = heir.number
            $0.hops = UInt32(hops)
        }
        return frame
    }
}
