import MeshCore

/// Why a link, or an attempt at one, is over. `description` is for logs, `label` for metrics.
public enum LinkEnd: Hashable, Sendable, CustomStringConvertible {
    case unreachable
    case refused(LinkRefusal)
    case refusedByPeer(String)
    case handshakeTimeout(TimeSpan)
    /// TLS came to no end, or broke: with its label, one of a small set, and OpenSSL's reason.
    case encryptionFailed(label: String, text: String)
    case garbage(String)
    case frameTooLarge(bytes: Int, bytesMax: Int)
    case silent(TimeSpan)
    case queueFull(bytesMax: Int)
    case tooManyHandshakes(Int)
    case replaced
    case peerRemoved
    case peerClosed
    case failed(String)
    case shutdown

    public var label: String {
        switch self {
        case .unreachable: "unreachable"
        case .refused: "refused"
        case .refusedByPeer: "refused_by_peer"
        case .handshakeTimeout: "handshake_timeout"
        case .encryptionFailed(let label, _): "tls_\(label)"
        case .garbage: "garbage"
        case .frameTooLarge: "frame_too_large"
        case .silent: "silent"
        case .queueFull: "queue_full"
        case .tooManyHandshakes: "too_many_handshakes"
        case .replaced: "replaced"
        case .peerRemoved: "peer_removed"
        case .peerClosed: "peer_closed"
        case .failed: "failed"
        case .shutdown: "shutdown"
        }
    }

    /// Nil for an end that nobody is to blame for.
    public var dropReason: DropReason? {
        switch self {
        case .refused, .refusedByPeer, .encryptionFailed: .linkRefused
        case .handshakeTimeout: .handshakeTimeout
        case .garbage: .linkGarbage
        case .frameTooLarge: .frameTooLarge
        case .silent: .linkSilent
        case .queueFull: .linkQueueFull
        case .tooManyHandshakes: .connectionLimit
        case .unreachable, .replaced, .peerRemoved, .peerClosed, .failed, .shutdown: nil
        }
    }

    public var description: String {
        switch self {
        case .unreachable: "nobody answers at the address"
        case .refused(let refusal): "refused: \(refusal)"
        case .refusedByPeer(let reason): "refused by the peer: \(reason)"
        case .handshakeTimeout(let timeout): "no hello within \(timeout)"
        case .encryptionFailed(_, let text): "TLS: \(text)"
        case .garbage(let what): "garbage: \(what)"
        case .frameTooLarge(let bytes, let bytesMax): "a frame of \(bytes) bytes, at most \(bytesMax) are allowed"
        case .silent(let span): "silent for \(span)"
        case .queueFull(let bytesMax): "queue_full: more than \(bytesMax) bytes wait"
        case .tooManyHandshakes(let most): "\(most) handshakes are under way"
        case .replaced: "replaced by a newer link of the peer"
        case .peerRemoved: "no longer a peer"
        case .peerClosed: "closed by the peer"
        case .failed(let error): "failed: \(error)"
        case .shutdown: "this node stops"
        }
    }
}

extension LinkEnd {
    /// Whether the peer can do something about it: then it is told, so that its log says so too.
    public var isToldToPeer: Bool {
        switch self {
        case .refused, .garbage, .frameTooLarge, .handshakeTimeout: true
        case .unreachable, .refusedByPeer, .encryptionFailed, .silent, .queueFull, .tooManyHandshakes, .replaced, .peerRemoved, .peerClosed,
            .failed,
            .shutdown:
            false
        }
    }
}
