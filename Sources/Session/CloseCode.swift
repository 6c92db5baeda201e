import MeshCore

/// Why the server ends a session. 4000–4499: come back; 4500–4999: not with the same credentials.
public enum CloseCode: UInt16, Hashable, Sendable, CaseIterable {
    case draining = 4000
    case heartbeatMissed = 4001
    case slowConsumer = 4002
    case overloaded = 4003
    case tokenExpired = 4004
    case helloTimeout = 4006
    case malformed = 4500
    case unauthenticated = 4501
    case forbidden = 4502
    case frameTooLarge = 4503
    case takenOver = 4504
    case rateLimitAbused = 4505

    public var mayReconnect: Bool { rawValue < 4500 }

    /// How the drop is counted; nil for what is not one.
    public var dropReason: DropReason? {
        switch self {
        case .draining, .takenOver: nil
        case .heartbeatMissed: .heartbeatMissed
        case .slowConsumer: .slowConsumer
        case .overloaded: .admissionRefused
        case .tokenExpired: .tokenExpired
        case .helloTimeout: .helloTimeout
        case .malformed: .malformedFrame
        case .unauthenticated: .unauthenticated
        case .forbidden, .rateLimitAbused: .permissionDenied
        case .frameTooLarge: .frameTooLarge
        }
    }
}
