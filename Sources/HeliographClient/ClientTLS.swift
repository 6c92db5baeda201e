import Synchronization
public import TLS

/// Whom a client trusts over `wss:` and `https:`, and who it says it is. TLS 1.2 or 1.3; the server is asked for by its name (SNI).
public struct ClientTLSOptions: Hashable, Sendable {
    /// The authorities that a server's certificate must come from: a file in PEM. Nil: those of the system.
    public var trustFile: String?
    /// Whether the certificate must be for the host of the URL. If not, everybody whom the same authorities trust can pretend to be it.
    public var verifiesName = true
    /// For servers that ask their clients for a certificate.
    public var certificate: TLSCertificateFiles?

    public init(trustFile: String? = nil) { self.trustFile = trustFile }

    /// - Throws: for files that cannot be read or do not belong together.
    func context(for applicationProtocol: String) throws(TLSConfigurationFault) -> TLSContext {
        try .client(
            TLSClientSettings(trustFile: trustFile, alpn: [applicationProtocol], certificate: certificate, verifiesName: verifiesName))
    }
}

/// The TLS of one client: its files are read at its first secure connection, and once. Who comes back to the same relay goes on with the
/// session it had (RFC 8446, section 2.2), which spares both the work of a full handshake.
final class ClientTLS: Sendable {
    private let options: ClientTLSOptions
    private let applicationProtocol: String
    private let context = Mutex<TLSContext?>(nil)
    private let last = Mutex<(authority: String, resumption: TLSResumption)?>(nil)

    init(_ options: ClientTLSOptions, applicationProtocol: String) {
        self.options = options
        self.applicationProtocol = applicationProtocol
    }

    func session(for url: RelayURL) throws(HeliographClientError) -> TLSSession {
        let resumed = last.withLock { $0?.authority == url.authority ? $0?.resumption : nil }
        return TLSSession(try loaded(), serverName: url.host, resuming: resumed)
    }

    func keep(_ resumption: TLSResumption, for url: RelayURL) {
        last.withLock { $0 = (url.authority, resumption) }
    }

    /// Made before it is needed on an event loop, where no file should be read.
    @discardableResult
    func loaded() throws(HeliographClientError) -> TLSContext {
        try context.withLock { held throws(HeliographClientError) in
            if let held { return held }
            do {
                let made = try options.context(for: applicationProtocol)
                held = made
                return made
            } catch {
                throw .invalidTLSSettings("\(error)")
            }
        }
    }
}
