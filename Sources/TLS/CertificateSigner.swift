import COpenSSL

/// Makes certificates: a key of an authority and its certificate. Owns the handles that it makes.
struct CertificateSigner: Sendable {
    private let authority: Made

    init(_ identity: CertifiedKey) throws(TLSConfigurationFault) {
        guard let certificate = identity.chain.leaf, X509_check_ca(certificate) == 1 else {
            throw TLSConfigurationFault(file: identity.files.chain, reason: "is not the certificate of an authority")
        }
        X509_up_ref(certificate)
        EVP_PKEY_up_ref(identity.key)
        authority = Made(certificate: certificate, key: identity.key)
    }

    private init(authority: Made) { self.authority = authority }

    static func root(name: String, validity: TLSValidity) throws(TLSConfigurationFault) -> CertificateSigner {
        let made = try Made(name: name, validity: validity)
        try made.extend([
            (NID_basic_constraints, "critical,CA:TRUE"),
            (NID_key_usage, "critical,keyCertSign,cRLSign"),
            (NID_subject_key_identifier, "hash"),
        ])
        try made.sign(as: made)
        return CertificateSigner(authority: made)
    }

    func issue(_ request: TLSCertificateRequest) throws(TLSConfigurationFault) -> TLSIssued {
        let made = try Made(name: request.name, validity: request.validity)
        var extensions: [(Int32, String)] = [
            (NID_basic_constraints, "critical,CA:FALSE"),
            (NID_key_usage, "critical,digitalSignature"),
            (NID_ext_key_usage, request.usage.text),
            (NID_subject_key_identifier, "hash"),
            (NID_authority_key_identifier, "keyid"),
        ]
        let names = request.dns.map { "DNS:\($0)" } + request.addresses.map { "IP:\($0)" } + request.uris.map { "URI:\($0)" }
        if !names.isEmpty { extensions.append((NID_subject_alt_name, names.joined(separator: ","))) }
        try made.extend(extensions, by: authority)
        try made.sign(as: authority)
        return TLSIssued(certificate: try made.certificatePEM(), key: try made.keyPEM())
    }

    func certificatePEM() throws(TLSConfigurationFault) -> String { try authority.certificatePEM() }
    func keyPEM() throws(TLSConfigurationFault) -> String { try authority.keyPEM() }
}

extension TLSCertificateRequest.Usage {
    fileprivate var text: String {
        switch self {
        case .server: "serverAuth"
        case .client: "clientAuth"
        case .both: "serverAuth,clientAuth"
        }
    }
}

/// A certificate and its key.
private final class Made: Sendable {
    // `X509`: written only before `CertificateSigner` hands it out; OpenSSL counts references atomically and locks what it computes on demand.
    nonisolated(unsafe) private let certificate: OpaquePointer
    // `EVP_PKEY`: the same.
    nonisolated(unsafe) private let key: OpaquePointer

    /// Takes both over.
    init(certificate: OpaquePointer, key: OpaquePointer) {
        self.certificate = certificate
        self.key = key
    }

    /// A new key and a certificate for it that nobody has signed.
    init(name: String, validity: TLSValidity) throws(TLSConfigurationFault) {
        OpenSSLErrors.clear()
        guard let key = shim_EVP_EC_gen("P-256"), let certificate = X509_new() else { throw Self.fault() }
        self.key = key
        self.certificate = certificate
        X509_set_version(certificate, 2)
        guard
            setSerial(), X509_set_pubkey(certificate, key) == 1, setName(name),
            ASN1_TIME_set(X509_getm_notBefore(certificate), Int(validity.notBefore)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(certificate), Int(validity.notAfter)) != nil
        else { throw Self.fault() }
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// 127 random bits: positive, and never the same twice (RFC 5280, section 4.1.2.2).
    private func setSerial() -> Bool {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[0] &= 0x7F
        guard let number = BN_bin2bn(bytes, Int32(bytes.count), nil) else { return false }
        defer { BN_free(number) }
        return BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
    }

    private func setName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0) == 1
    }

    func extend(_ extensions: [(nid: Int32, value: String)], by issuer: Made? = nil) throws(TLSConfigurationFault) {
        OpenSSLErrors.clear()
        // Not inside the loop: Swift 6.3's optimizer crashes on it there.
        let issuer = (issuer ?? self).certificate
        for (nid, value) in extensions {
            guard shim_add_extension(certificate, issuer, nid, value) == 1 else { throw Self.fault() }
        }
    }

    func sign(as issuer: Made) throws(TLSConfigurationFault) {
        OpenSSLErrors.clear()
        guard
            X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate)) == 1,
            X509_sign(certificate, issuer.key, EVP_sha256()) > 0
        else { throw Self.fault() }
    }

    func certificatePEM() throws(TLSConfigurationFault) -> String {
        try Self.text { PEM_write_bio_X509($0, certificate) }
    }

    func keyPEM() throws(TLSConfigurationFault) -> String {
        try Self.text { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
    }

    private static func text(_ write: (OpaquePointer) -> Int32) throws(TLSConfigurationFault) -> String {
        OpenSSLErrors.clear()
        guard let bio = BIO_new(BIO_s_mem()) else { throw fault() }
        defer { BIO_free(bio) }
        var bytes: UnsafeMutablePointer<CChar>?
        guard write(bio) == 1 else { throw fault() }
        let count = shim_BIO_get_mem_data(bio, &bytes)
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    private static func fault() -> TLSConfigurationFault { TLSConfigurationFault(file: nil, reason: OpenSSLErrors.reason()) }
}
