/// What a session says of itself. The raw value is the number on the wire.
public enum Status: UInt8, Hashable, Sendable {
    case online = 0
    case away = 1
    case busy = 2
    case invisible = 3
    case offline = 4
    case unknown = 5
}
