import Membership
import MeshCore
import TLS

/// Mutual TLS on the links of a node: each end proves its certificate, and `LinkHandshake` holds the hello to it.
public struct LinkEncryption: Sendable {
    /// For links that are accepted. Demands certificates of the peers.
    public var accepting: TLSCredentials
    /// For links that are dialled.
    public var dialling: TLSCredentials

    public init(accepting: TLSCredentials, dialling: TLSCredentials) {
        self.accepting = accepting
        self.dialling = dialling
    }

    /// - Parameter timeout: for the TLS handshake.
    func makeHandler(role: LinkRole, timeout: TimeSpan) -> TLSHandler {
        let credentials = role == .acceptor ? accepting : dialling
        return TLSHandler(TLSSession(credentials.context), handshakeTimeout: timeout)
    }
}

/// What stands in the pipeline of a link.
struct LinkHandlers {
    /// Nil for a link in the clear.
    var encryption: TLSHandler?
    var link: MeshLinkHandler
}
