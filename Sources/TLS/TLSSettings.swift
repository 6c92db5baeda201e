/// A certificate and the key that belongs to it, both PEM.
public struct TLSCertificateFiles: Hashable, Sendable {
    /// The certificate, then those of the authorities between it and the root, in that order.
    public var chain: String
    public var key: String

    public init(chain: String, key: String) {
        self.chain = chain
        self.key = key
    }
}

/// What a server needs.
public struct TLSServerSettings: Hashable, Sendable {
    /// The first is for clients that name no server, or one that no certificate is for; the others are chosen by the names
    /// (SNI, RFC 6066) that stand in them. Of several for one name the first of each kind of key is offered.
    public var certificates: [TLSCertificateFiles]
    /// Application protocols in this server's order of preference (RFC 7301). Empty: what clients offer is ignored. Otherwise a client
    /// that offers others only is refused, and one that offers none is not.
    public var alpn: [String]
    /// Set: clients must present a certificate that an authority of this PEM file has signed. Nobody resumes a session then: every
    /// connection proves its certificate.
    public var clientTrustFile: String?

    public init(certificates: [TLSCertificateFiles], alpn: [String] = [], clientTrustFile: String? = nil) {
        self.certificates = certificates
        self.alpn = alpn
        self.clientTrustFile = clientTrustFile
    }
}

/// What a client needs.
public struct TLSClientSettings: Hashable, Sendable {
    /// The authorities that servers are trusted by, PEM; nil for those of the system.
    public var trustFile: String?
    /// Offered in this order.
    public var alpn: [String]
    /// For servers that ask for one.
    public var certificate: TLSCertificateFiles?
    /// Whether the server's certificate must be for the name that was asked for. False only where the caller checks
    /// `TLSHandshake.peerNames` itself.
    public var verifiesName: Bool
    public var newestVersion: TLSVersion

    public init(
        trustFile: String? = nil, alpn: [String] = [], certificate: TLSCertificateFiles? = nil, verifiesName: Bool = true,
        newestVersion: TLSVersion = .tls13
    ) {
        self.trustFile = trustFile
        self.alpn = alpn
        self.certificate = certificate
        self.verifiesName = verifiesName
        self.newestVersion = newestVersion
    }
}

/// The versions that are spoken; the newest that both sides know is taken.
public enum TLSVersion: String, Sendable {
    case tls12 = "TLSv1.2"
    case tls13 = "TLSv1.3"
}

/// What a finished handshake agreed on.
public struct TLSHandshake: Hashable, Sendable {
    public var version: TLSVersion
    /// The name in the registry of IANA, such as `TLS_AES_128_GCM_SHA256`.
    public var cipher: String
    /// Nil when no application protocol was agreed on.
    public var alpn: String?
    /// What the client asked for (SNI).
    public var serverName: String?
    /// Whether an earlier session was gone on with instead of a full handshake.
    public var wasResumed: Bool
    /// Empty for a peer without a certificate.
    public var peerNames: TLSPeerNames
}

/// The names for which an authority signed a certificate: its subject's alternative names (RFC 5280, section 4.2.1.6).
public struct TLSPeerNames: Hashable, Sendable {
    public var dns: [String]
    public var uris: [String]

    public init(dns: [String] = [], uris: [String] = []) {
        self.dns = dns
        self.uris = uris
    }
}
