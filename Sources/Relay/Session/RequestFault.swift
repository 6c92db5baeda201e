import MeshCore
import Wire

/// Why a well-formed frame is answered with `error`. The session lives on.
struct RequestFault: Error {
    var code: RelayErrorCode
    var message: String
    var retryAfterMs = 0
    var drop: DropReason?

    static func invalid(_ message: String) -> RequestFault {
        RequestFault(code: .invalidArgument, message: message, drop: .invalidRequest)
    }

    static func denied(_ message: String) -> RequestFault {
        RequestFault(code: .permissionDenied, message: message, drop: .permissionDenied)
    }

    static func unimplemented(_ message: String) -> RequestFault { RequestFault(code: .unimplemented, message: message) }

    static func unavailable(_ message: String, retryAfterMs: Int = 1000) -> RequestFault {
        RequestFault(code: .unavailable, message: message, retryAfterMs: retryAfterMs)
    }

    init(code: RelayErrorCode, message: String, retryAfterMs: Int = 0, drop: DropReason? = nil) {
        self.code = code
        self.message = message
        self.retryAfterMs = retryAfterMs
        self.drop = drop
    }

    /// What the root, or the way to it, refused.
    init(_ refusal: Refusal) {
        let code: RelayErrorCode =
            switch refusal.reason {
            case .unavailable, .unreachable, .unanswered, .notRoot, .outOfSequence: .unavailable
            case .exhausted: .resourceExhausted
            case .unimplemented: .unimplemented
            }
        self.init(
            code: code, message: refusal.message, retryAfterMs: code == .unavailable ? max(250, refusal.retryAfterMs) : refusal.retryAfterMs
        )
    }
}
