import MeshCore
import Presence

/// The lines of an export but for messages, which are written as clients are sent them.
enum ExportLine {
    struct Profile: Encodable {
        let kind = "profile"
        var user: String
        var status: String
        var note: String
        /// Milliseconds since 1970, 0 if she was never seen.
        var lastSeen: WallMilliseconds

        init(user: String, _ profile: UserProfile) {
            let member = Member.merging(user, profile.sessions)
            self.user = user
            status = ExportLine.word(member?.status ?? (profile.sessions.isEmpty ? .offline : .invisible))
            note = member?.note ?? ""
            lastSeen = profile.lastSeen
        }
    }

    /// A session that is there now.
    struct Device: Encodable {
        let kind = "device"
        var device: String
        var status: String
        var note: String

        init(_ session: MemberEntry) {
            device = session.device
            status = ExportLine.word(session.status)
            note = session.note
        }
    }

    /// A device to which notifications go. The token by which the service knows it stays here.
    struct PushDevice: Encodable {
        let kind = "pushDevice"
        var device: String
        var service: String
        /// Milliseconds since 1970.
        var updatedAt: WallMilliseconds

        init(_ device: UserProfile.PushDevice) {
            (self.device, service, updatedAt) = (device.device, device.service, device.updatedAt)
        }
    }

    /// How far she has confirmed the messages of a room.
    struct Receipt: Encodable {
        struct Place: Encodable {
            var epoch: UInt64
            var seq: UInt64

            init(_ position: Position) { (epoch, seq) = (position.epoch, position.seq) }
        }

        let kind = "receipt"
        var room: String
        var delivered: Place
        var read: Place

        init(room: String, _ positions: ReceiptPositions) {
            self.room = room
            delivered = Place(positions.delivered)
            read = Place(positions.read)
        }
    }

    /// The export ends here, and something is missing.
    struct Fault: Encodable {
        let kind = "error"
        var error: String
    }

    private static func word(_ status: Status) -> String { "\(status)".uppercased() }
}
