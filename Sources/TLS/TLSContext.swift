import COpenSSL

/// The certificates and rules of one end of TLS connections. Made once and never changed: new files mean a new context, and
/// connections that began under the old one go on under it.
///
/// TLS 1.2 and 1.3; forward secrecy and authenticated encryption only (Mozilla's "intermediate" list); no compression, no
/// renegotiation, no data before the handshake is done (RFC 8446, section 8: it can be replayed).
public final class TLSContext: Sendable {
    enum Role { case server, client }

    static let suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
    static let ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
        ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384
        """
    static let groups = "X25519:P-256:P-384"
    /// The longest chain of a peer.
    static let certificateBytesMax = 32 << 10

    let role: Role
    let verifiesName: Bool
    /// The certificates of this end.
    let identities: [CertifiedKey]
    private let choices: Choices
    // `SSL_CTX`: changed by the initializer only. Making `SSL`s from it on several threads is what OpenSSL allows; its own counters,
    // references and ticket keys are behind its own locks.
    nonisolated(unsafe) let handle: OpaquePointer

    /// - Throws: `TLSConfigurationFault` for files that cannot be read, do not belong together, or hold no certificate.
    public static func server(_ settings: TLSServerSettings) throws(TLSConfigurationFault) -> TLSContext {
        guard !settings.certificates.isEmpty else { throw TLSConfigurationFault(file: nil, reason: "a server needs a certificate") }
        var identities: [CertifiedKey] = []
        for files in settings.certificates { identities.append(try CertifiedKey(files)) }
        let context = try TLSContext(role: .server, identities: identities, alpn: settings.alpn, verifiesName: false)
        try context.becomeServer(clientTrustFile: settings.clientTrustFile)
        return context
    }

    /// - Throws: `TLSConfigurationFault` for files that cannot be read, do not belong together, or hold no certificate.
    public static func client(_ settings: TLSClientSettings) throws(TLSConfigurationFault) -> TLSContext {
        var identities: [CertifiedKey] = []
        if let files = settings.certificate { identities.append(try CertifiedKey(files)) }
        let context = try TLSContext(role: .client, identities: identities, alpn: settings.alpn, verifiesName: settings.verifiesName)
        try context.becomeClient(settings)
        return context
    }

    private init(role: Role, identities: [CertifiedKey], alpn: [String], verifiesName: Bool) throws(TLSConfigurationFault) {
        self.role = role
        self.identities = identities
        self.verifiesName = verifiesName
        choices = Choices(
            identities: identities, names: ServerNames(certificates: identities.map(\.names.dns)), protocols: try ProtocolList(alpn))
        OpenSSLErrors.clear()
        guard let handle = SSL_CTX_new(role == .server ? TLS_server_method() : TLS_client_method()) else {
            throw TLSConfigurationFault(file: nil, reason: OpenSSLErrors.reason())
        }
        self.handle = handle
        try applyPolicy()
        if let first = identities.first { try use(first) }
    }

    deinit { SSL_CTX_free(handle) }

    /// The file of each certificate of this end, and when it is no longer valid.
    public var expiries: [TLSCertificateExpiry] {
        identities.map { TLSCertificateExpiry(file: $0.files.chain, notAfter: $0.chain.notAfter) }
    }

    /// For whom the certificates of this end are, in their order.
    public var names: [TLSPeerNames] { identities.map(\.names) }

    // MARK: Making

    private func applyPolicy() throws(TLSConfigurationFault) {
        shim_SSL_CTX_set_versions(handle, TLS1_2_VERSION, TLS1_3_VERSION)
        SSL_CTX_set_options(handle, shim_SSL_OP_NO_RENEGOTIATION | shim_SSL_OP_NO_COMPRESSION)
        shim_SSL_CTX_release_buffers(handle)
        shim_SSL_CTX_no_session_cache(handle)
        shim_SSL_CTX_set_max_cert_list(handle, Self.certificateBytesMax)
        try check(SSL_CTX_set_ciphersuites(handle, Self.suites))
        try check(SSL_CTX_set_cipher_list(handle, Self.ciphers))
        try check(shim_SSL_CTX_set1_groups_list(handle, Self.groups))
    }

    private func use(_ identity: CertifiedKey) throws(TLSConfigurationFault) {
        try check(
            SSL_CTX_use_cert_and_key(handle, identity.chain.leaf, identity.key, identity.intermediates, 1), file: identity.files.chain)
    }

    private func becomeServer(clientTrustFile: String?) throws(TLSConfigurationFault) {
        SSL_CTX_set_options(handle, shim_SSL_OP_CIPHER_SERVER_PREFERENCE | shim_SSL_OP_PRIORITIZE_CHACHA)
        // The context keeps `choices`, and each session keeps its context: OpenSSL calls back only while a session lives.
        let argument = Unmanaged.passUnretained(choices).toOpaque()
        shim_SSL_CTX_set_servername(handle, { ssl, _, argument in Choices.chooseCertificate(ssl, argument) }, argument)
        if !choices.protocols.names.isEmpty {
            SSL_CTX_set_alpn_select_cb(
                handle, { Choices.chooseProtocol($1, $2, UnsafeRawBufferPointer(start: $3, count: Int($4)), $5) }, argument)
        }
        SSL_CTX_set_num_tickets(handle, 1)
        guard let clientTrustFile else { return }
        try trust(clientTrustFile, announced: true)
        SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_options(handle, shim_SSL_OP_NO_TICKET)
        SSL_CTX_set_num_tickets(handle, 0)
    }

    private func becomeClient(_ settings: TLSClientSettings) throws(TLSConfigurationFault) {
        if settings.newestVersion == .tls12 { shim_SSL_CTX_set_versions(handle, TLS1_2_VERSION, TLS1_2_VERSION) }
        SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nil)
        if let file = settings.trustFile {
            try trust(file, announced: false)
        } else {
            try check(SSL_CTX_set_default_verify_paths(handle))
        }
        let list = choices.protocols.wire
        // This one answers 0 when all is well.
        guard list.isEmpty || SSL_CTX_set_alpn_protos(handle, list, UInt32(list.count)) == 0 else {
            throw TLSConfigurationFault(file: nil, reason: OpenSSLErrors.reason())
        }
    }

    /// - Parameter announced: whether clients are told these authorities, so that they can choose a certificate.
    private func trust(_ file: String, announced: Bool) throws(TLSConfigurationFault) {
        let authorities = try CertificateChain(pem: PEMText.load(file), file: file)
        for index in 0..<authorities.count {
            try check(X509_STORE_add_cert(SSL_CTX_get_cert_store(handle), authorities[index]), file: file)
            if announced { try check(SSL_CTX_add_client_CA(handle, authorities[index]), file: file) }
        }
    }

    private func check(_ result: Int32, file: String? = nil) throws(TLSConfigurationFault) {
        guard result == 1 else { throw TLSConfigurationFault(file: file, reason: OpenSSLErrors.reason()) }
    }
}

/// What a server chooses in the middle of a handshake, called by OpenSSL. The callbacks call nobody else and cannot trap.
private final class Choices: Sendable {
    let identities: [CertifiedKey]
    let names: ServerNames
    let protocols: ProtocolList

    init(identities: [CertifiedKey], names: ServerNames, protocols: ProtocolList) {
        self.identities = identities
        self.names = names
        self.protocols = protocols
    }

    static func chooseCertificate(_ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
        guard let ssl, let argument, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return SSL_TLSEXT_ERR_NOACK }
        let choices = Unmanaged<Choices>.fromOpaque(argument).takeUnretainedValue()
        let chosen = choices.names.certificates(for: String(cString: name))
        guard !chosen.isEmpty else { return SSL_TLSEXT_ERR_NOACK }
        // Without this a key of another kind would stay beside the chosen one, and might be preferred to it.
        SSL_certs_clear(ssl)
        // The first of each kind of key wins, so it is put in last.
        for index in chosen.reversed() {
            let identity = choices.identities[index]
            let isUsed = SSL_use_cert_and_key(ssl, identity.chain.leaf, identity.key, identity.intermediates, 1)
            guard isUsed == 1 else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        }
        return SSL_TLSEXT_ERR_OK
    }

    /// - Parameters:
    ///   - chosen: set to where the protocol stands in the client's list, which outlives the call.
    ///   - length: set to its length.
    static func chooseProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ length: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafeRawBufferPointer, _ argument: UnsafeMutableRawPointer?
    ) -> Int32 {
        guard let chosen, let length, let argument else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        let choices = Unmanaged<Choices>.fromOpaque(argument).takeUnretainedValue()
        guard let range = choices.protocols.choose(from: offered) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        let name = UnsafeRawBufferPointer(rebasing: offered[range])
        chosen.pointee = name.assumingMemoryBound(to: UInt8.self).baseAddress
        length.pointee = UInt8(name.count)
        return SSL_TLSEXT_ERR_OK
    }
}
