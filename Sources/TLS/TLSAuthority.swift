import Foundation
import MeshCore

/// From when to when a certificate is valid, in seconds since 1970.
public struct TLSValidity: Hashable, Sendable {
    /// Clocks differ: what was made now is already valid on a machine that is behind.
    public static let clockSkewSeconds: Int64 = 300

    public var notBefore: Int64
    public var notAfter: Int64

    public init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// From now on.
    public static func days(_ days: Int) -> TLSValidity {
        let now = Int64(Date().timeIntervalSince1970)
        return TLSValidity(notBefore: now - clockSkewSeconds, notAfter: now + Int64(days) * 86_400)
    }
}

/// What a certificate is made for.
public struct TLSCertificateRequest: Hashable, Sendable {
    public enum Usage: Hashable, Sendable { case server, client, both }

    /// For people: the subject's common name. Nobody is verified by it.
    public var name: String
    public var dns: [String]
    /// IPv4 or IPv6, in text.
    public var addresses: [String]
    public var uris: [String]
    public var usage: Usage
    public var validity: TLSValidity

    public init(
        name: String, dns: [String] = [], addresses: [String] = [], uris: [String] = [], usage: Usage = .both, validity: TLSValidity
    ) {
        self.name = name
        self.dns = dns
        self.addresses = addresses
        self.uris = uris
        self.usage = usage
        self.validity = validity
    }
}

/// A certificate and its key, PEM.
public struct TLSIssued: Hashable, Sendable {
    public var certificate: String
    public var key: String

    /// The key's file is readable by its owner only. Each file is replaced as a whole, the key first: who reads in between finds a
    /// pair that does not belong together, never half a file.
    public func write(to files: TLSCertificateFiles) throws(TLSConfigurationFault) {
        try Self.replace(files.key, with: key, mode: 0o600)
        try Self.replace(files.chain, with: certificate, mode: 0o644)
    }

    private static func replace(_ file: String, with text: String, mode: mode_t) throws(TLSConfigurationFault) {
        let draft = file + ".new"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw fault(file) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else {
                defer { Glibc.close(descriptor) }
                throw fault(file)
            }
            bytes = bytes.dropFirst(written)
        }
        guard Glibc.close(descriptor) == 0, rename(draft, file) == 0 else { throw fault(file) }
    }

    private static func fault(_ file: String) -> TLSConfigurationFault {
        TLSConfigurationFault(file: file, reason: "cannot be written: \(String(cString: strerror(errno)))")
    }
}

/// A certificate authority of one's own, for development and tests, and for meshes whose operators have no other: P-256 keys, and a root that
/// signs leaves directly.
public final class TLSAuthority: Sendable {
    /// The root's certificate, PEM: what others need as their trust file.
    public let certificate: String
    private let signer: CertificateSigner

    private init(_ signer: CertificateSigner) throws(TLSConfigurationFault) {
        self.signer = signer
        certificate = try signer.certificatePEM()
    }

    public static func make(name: String, validity: TLSValidity) throws(TLSConfigurationFault) -> TLSAuthority {
        try TLSAuthority(CertificateSigner.root(name: name, validity: validity))
    }

    /// Reads what `write` wrote.
    public static func load(_ files: TLSCertificateFiles) throws(TLSConfigurationFault) -> TLSAuthority {
        try TLSAuthority(CertificateSigner(CertifiedKey(files)))
    }

    public func write(to files: TLSCertificateFiles) throws(TLSConfigurationFault) {
        try TLSIssued(certificate: certificate, key: signer.keyPEM()).write(to: files)
    }

    /// Makes a key and signs a certificate for it.
    ///
    /// - Throws: `TLSConfigurationFault` for names that cannot stand in a certificate.
    public func issue(_ request: TLSCertificateRequest) throws(TLSConfigurationFault) -> TLSIssued {
        for name in request.dns + request.addresses + request.uris { try Self.check(name) }
        return try signer.issue(request)
    }

    /// OpenSSL reads alternative names from one text, where a comma begins the next.
    private static func check(_ name: String) throws(TLSConfigurationFault) {
        let isPlain = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\\") }
        guard isPlain, !name.isEmpty else { throw TLSConfigurationFault(file: nil, reason: "`\(name)` cannot stand in a certificate") }
    }
}
