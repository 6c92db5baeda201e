import COpenSSL
import Foundation

/// Certificates read from PEM. Owns its `X509` handles.
final class CertificateChain: Sendable {
    // `STACK_OF(X509)`, filled before the initializer returns and never changed: OpenSSL only reads it and counts references,
    // which it does atomically.
    nonisolated(unsafe) private let stack: OpaquePointer

    /// All certificates of a PEM text, at least one.
    /// - Parameter file: named in faults.
    init(pem: [UInt8], file: String) throws(TLSConfigurationFault) {
        guard let stack = shim_new_certificates() else { throw TLSConfigurationFault(file: file, reason: "out of memory") }
        self.stack = stack
        OpenSSLErrors.clear()
        PEMText.read(pem) { bio in
            while let certificate = PEMText.readCertificate(bio) { shim_push_certificate(stack, certificate) }
        }
        let reason = OpenSSLErrors.reason()
        // The end of the text is the end of the list; anything else is a certificate that cannot be read.
        guard count > 0, reason == PEMText.endOfText else {
            throw TLSConfigurationFault(file: file, reason: count == 0 && reason == PEMText.endOfText ? "holds no certificate" : reason)
        }
    }

    deinit { shim_free_certificates(stack) }

    var count: Int { Int(OPENSSL_sk_num(stack)) }

    /// `X509` of the first certificate.
    var leaf: OpaquePointer? { self[0] }

    subscript(index: Int) -> OpaquePointer? { OPENSSL_sk_value(stack, Int32(index)).map { OpaquePointer($0) } }

    /// The first instant, in seconds since 1970, at which one of them is no longer valid.
    var notAfter: Int64 {
        (0..<count).compactMap { self[$0] }.map(CertificateReading.notAfter).min() ?? 0
    }
}

/// A chain and the private key of its first certificate.
final class CertifiedKey: Sendable {
    let files: TLSCertificateFiles
    let chain: CertificateChain
    // `EVP_PKEY`: never changed after it was read; OpenSSL locks what it computes on demand and counts references atomically.
    nonisolated(unsafe) let key: OpaquePointer
    // `STACK_OF(X509)` without the leaf, as OpenSSL wants it. Borrows the certificates of `chain`; never changed.
    nonisolated(unsafe) let intermediates: OpaquePointer

    init(_ files: TLSCertificateFiles) throws(TLSConfigurationFault) {
        self.files = files
        chain = try CertificateChain(pem: PEMText.load(files.chain), file: files.chain)
        let key = try PEMText.key(in: files.key)
        guard let intermediates = shim_new_certificates() else {
            EVP_PKEY_free(key)
            throw TLSConfigurationFault(file: files.chain, reason: "out of memory")
        }
        for index in 1..<max(1, chain.count) { if let certificate = chain[index] { shim_push_certificate(intermediates, certificate) } }
        self.key = key
        self.intermediates = intermediates
        guard X509_check_private_key(chain.leaf, key) == 1 else {
            throw TLSConfigurationFault(file: files.key, reason: "is not the key of the certificate in \(files.chain)")
        }
    }

    deinit {
        OPENSSL_sk_free(intermediates)
        EVP_PKEY_free(key)
    }

    var names: TLSPeerNames { chain.leaf.map(CertificateReading.names) ?? TLSPeerNames() }
}

/// What stands in an `X509`.
enum CertificateReading {
    static func names(of certificate: OpaquePointer) -> TLSPeerNames {
        var result = TLSPeerNames()
        guard let extensionValue = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return result }
        let names = OpaquePointer(extensionValue)
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<max(0, shim_count_names(names)) {
            var bytes: UnsafePointer<UInt8>?
            var length: Int32 = 0
            let kind = shim_name_text(names, index, &bytes, &length)
            guard let bytes, length > 0 else { continue }
            guard let text = String(validating: UnsafeBufferPointer(start: bytes, count: Int(length)), as: UTF8.self) else { continue }
            if kind == GEN_DNS { result.dns.append(text) } else if kind == GEN_URI { result.uris.append(text) }
        }
        return result
    }

    /// Seconds since 1970; 0 for a time that cannot be read.
    static func notAfter(_ certificate: OpaquePointer) -> Int64 {
        guard let time = X509_get0_notAfter(certificate) else { return 0 }
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return Int64(timegm(&parts))
    }
}

/// PEM texts, which are files, in memory.
enum PEMText {
    /// Nobody's chain is longer; what is larger is another file.
    static let bytesMax = 1 << 20
    /// `PEM_R_NO_START_LINE`.
    static let endOfText = "no start line"

    /// The next `X509`, nil with an error in the queue. What is encrypted is an error: OpenSSL would ask for the passphrase on the terminal.
    static func readCertificate(_ bio: OpaquePointer) -> OpaquePointer? { PEM_read_bio_X509(bio, nil, { _, _, _, _ in -1 }, nil) }

    /// The first `EVP_PKEY`, which the caller owns.
    static func key(in file: String) throws(TLSConfigurationFault) -> OpaquePointer {
        let text = try load(file)
        guard text.contains(Array("PRIVATE KEY-----".utf8)) else { throw TLSConfigurationFault(file: file, reason: "holds no private key") }
        OpenSSLErrors.clear()
        let key = read(text) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in -1 }, nil) } ?? nil
        guard let key else { throw TLSConfigurationFault(file: file, reason: OpenSSLErrors.reason()) }
        return key
    }

    static func load(_ file: String) throws(TLSConfigurationFault) -> [UInt8] {
        guard let handle = fopen(file, "re") else { throw TLSConfigurationFault(file: file, reason: String(cString: strerror(errno))) }
        defer { fclose(handle) }
        let bytes = [UInt8](unsafeUninitializedCapacity: bytesMax + 1) { buffer, count in
            count = fread(buffer.baseAddress, 1, bytesMax + 1, handle)
        }
        guard ferror(handle) == 0 else { throw TLSConfigurationFault(file: file, reason: String(cString: strerror(errno))) }
        guard bytes.count <= bytesMax else { throw TLSConfigurationFault(file: file, reason: "has more than \(bytesMax) bytes") }
        return bytes
    }

    /// Nil when there is no memory.
    @discardableResult
    static func read<Result>(_ text: [UInt8], _ body: (OpaquePointer) -> Result) -> Result? {
        text.withUnsafeBytes { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else { return nil }
            defer { BIO_free(bio) }
            return body(bio)
        }
    }
}
