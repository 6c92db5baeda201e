/// How a session ended, which says how long its presence outlasts it (promise P7).
public enum SessionEnd: Hashable, Sendable {
    /// The client closed as its transport wants it: she meant to leave.
    case byClient
    /// The peer broke the rules of its transport.
    case broken
    /// The server closed with this code.
    case told(CloseCode)
    /// The transport is gone without a word.
    case lost

    /// Whether the client may be expected back, so that members are not told that she left.
    public var mayReturn: Bool {
        switch self {
        case .byClient, .broken: false
        case .told(let code): code.mayReconnect
        case .lost: true
        }
    }
}
