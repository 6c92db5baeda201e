import MeshCore
import Session
import Wire

/// What a hello asks for, checked.
struct SessionOpening {
    static let deviceBytesMax = 128
    static let noteBytesMax = 256
    private static let heartbeatSeconds = 5...60

    var device: String
    var status: Status
    var heartbeat: TimeSpan
    /// The session to take over.
    var ticket: SessionTicket?

    init(
        _ hello: RelayHello, _ grants: Grants, tickets: SessionTickets, defaultHeartbeat: TimeSpan
    ) throws(RequestFault) {
        let ticket = hello.session.isEmpty ? nil : try Self.ticket(hello.session, grants, tickets)
        let seconds = hello.hasHeartbeatSeconds ? Int(hello.heartbeatSeconds) : defaultHeartbeat.milliseconds / 1000
        guard Self.heartbeatSeconds.contains(seconds) else { throw .invalid("heartbeatSeconds must be 5 to 60") }
        guard hello.resume.count <= Resumption.roomsMax else { throw .invalid("a hello resumes \(Resumption.roomsMax) rooms at most") }
        guard hello.device.utf8.count <= Self.deviceBytesMax else { throw .invalid("a device id has at most 128 bytes") }
        guard let status = Status(claimed: hello.status) else {
            throw .invalid("status must be ONLINE, AWAY, BUSY or INVISIBLE")
        }
        heartbeat = .seconds(seconds)
        self.status = status
        self.ticket = ticket
        device = grants.device ?? (hello.device.isEmpty ? ticket?.device ?? Self.randomID(bytes: 8) : hello.device)
    }

    private static func ticket(_ text: String, _ grants: Grants, _ tickets: SessionTickets) throws(RequestFault) -> SessionTicket {
        guard let ticket = tickets.ticket(from: text) else { throw .invalid("session: no welcome of this mesh has given this text") }
        guard ticket.user == grants.user else { throw .invalid("session: it is another user's") }
        return ticket
    }

    /// From the system's generator: ids that must not be guessed.
    private static func randomID(bytes: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<bytes).map { _ in
            let byte = UInt8.random(in: 0...255, using: &generator)
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
