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
    /// Unguessable: whoever knows it and the user's token may take the session over.
    var sessionID: String

    init(_ hello: RelayHello, _ grants: Grants, defaultHeartbeat: TimeSpan) throws(RequestFault) {
        if hello.hasSession { throw .unimplemented("taking a session over (hello.session) is not available yet") }
        let seconds = hello.hasHeartbeatSeconds ? Int(hello.heartbeatSeconds) : defaultHeartbeat.milliseconds / 1000
        guard Self.heartbeatSeconds.contains(seconds) else { throw .invalid("heartbeatSeconds must be 5 to 60") }
        guard hello.device.utf8.count <= Self.deviceBytesMax else { throw .invalid("a device id has at most 128 bytes") }
        guard let status = Status(claimed: hello.status) else {
            throw .invalid("status must be ONLINE, AWAY, BUSY or INVISIBLE")
        }
        heartbeat = .seconds(seconds)
        self.status = status
        device = grants.device ?? (hello.device.isEmpty ? Self.randomID(bytes: 8) : hello.device)
        sessionID = Self.randomID(bytes: 16)
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
