import COpenSSL
import NIOCore

/// One TLS connection without I/O: bytes of the peer go in, what must be sent comes out. Lives on one event loop.
///
/// Holds nothing of what passes but a record that has not come whole, and OpenSSL gives its buffers back in between.
/// After a fault, or after `close`, every call that would go on throws.
public final class TLSSession {
    /// What a peer may send before its handshake is done; its certificates count most.
    public static let handshakeBytesMax = 64 << 10
    /// Steps of OpenSSL's state machine after the handshake, of which a request for new keys (RFC 8446, section 4.6.3) takes two to
    /// four: a peer asks for a thousand of them in a connection, and not for more.
    static let lateStepsMax = 4_096
    /// After so many records this side changes its keys. The limit of AES-GCM is 2^24.5 (RFC 8446, section 5.5); TLS 1.2 has no
    /// such change.
    static let recordsPerKeyMax = 1 << 23
    /// The largest content of a record (RFC 8446, section 5.1).
    static let recordBytesMax = 16 << 10
    /// More than header, tag and explicit nonce of a record.
    static let recordOverheadMax = 64

    /// Nil until it is done.
    public private(set) var handshake: TLSHandshake?
    /// The peer has said close_notify: what it sent is whole.
    public private(set) var peerHasClosed = false

    private let context: TLSContext
    private let ssl: OpaquePointer
    private let transport = Transport()
    private var fault: TLSFault?
    private var isClosed = false
    private var handshakeBytes = 0
    private var recordsUnderKey = 0
    /// Tests change keys more often.
    var recordsPerKey = recordsPerKeyMax

    /// The role is that of the context.
    ///
    /// - Parameters:
    ///   - serverName: for clients: what to ask for (SNI), and what the server's certificate must be for. An IP address is
    ///     looked for among the certificate's addresses and not sent.
    ///   - resumed: for clients: an earlier session with the same server, from `resumption`.
    public init(_ context: TLSContext, serverName: String? = nil, resuming resumed: TLSResumption? = nil) {
        guard let ssl = SSL_new(context.handle), let bio = transport.makeBIO() else { preconditionFailure("out of memory") }
        self.context = context
        self.ssl = ssl
        // The same for both directions: this takes one reference.
        SSL_set_bio(ssl, bio, bio)
        SSL_set_info_callback(ssl) { ssl, event, _ in Transport.note(ssl, event: event) }
        switch context.role {
        case .server: SSL_set_accept_state(ssl)
        case .client:
            SSL_set_connect_state(ssl)
            fault = prepareClient(serverName)
            if let resumed { SSL_set_session(ssl, resumed.handle) }
        }
    }

    /// Frees the BIO too, whose callbacks reach `transport`: that is freed after this.
    deinit { SSL_free(ssl) }

    private func prepareClient(_ name: String?) -> TLSFault? {
        guard let name, !name.isEmpty, !name.utf8.contains(0) else {
            return context.verifiesName ? TLSFault(label: "no_server_name", text: "whose certificate to expect is not known") : nil
        }
        OpenSSLErrors.clear()
        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
        guard isAddress || shim_SSL_set_tlsext_host_name(ssl, name) == 1 else { return badName(name) }
        guard context.verifiesName else { return nil }
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        let isExpected = isAddress ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) : SSL_set1_host(ssl, name)
        return isExpected == 1 ? nil : badName(name)
    }

    private func badName(_ name: String) -> TLSFault {
        OpenSSLErrors.clear()
        return TLSFault(label: "bad_server_name", text: "`\(name)` cannot be asked for")
    }

    // MARK: Bytes

    /// Clients speak first; for servers this does nothing.
    public func start(output: inout ByteBuffer) throws(TLSFault) {
        if let fault { throw fault }
        guard context.role == .client, handshake == nil else { return }
        transport.swapOutput(&output)
        defer { transport.swapOutput(&output) }
        try continueHandshake()
    }

    /// Takes bytes of the peer, cut anywhere.
    ///
    /// - Parameters:
    ///   - plaintext: what is decrypted is appended.
    ///   - output: what must be sent is appended: handshake, tickets, alerts; also when this throws.
    /// - Throws: `TLSFault`, once and for every call that follows.
    public func receive(_ ciphertext: ByteBuffer, plaintext: inout ByteBuffer, output: inout ByteBuffer) throws(TLSFault) {
        if let fault { throw fault }
        guard !peerHasClosed else { return }
        transport.incoming = ciphertext
        transport.swapOutput(&output)
        defer {
            transport.incoming = ByteBuffer()
            transport.swapOutput(&output)
        }
        if handshake == nil { try continueHandshake() }
        if handshake != nil { try decrypt(into: &plaintext) }
    }

    /// Encrypts application data into records.
    ///
    /// - Throws: `TLSFault` before the handshake is done and after `close`.
    public func encrypt(_ bytes: UnsafeRawBufferPointer, output: inout ByteBuffer) throws(TLSFault) {
        if let fault { throw fault }
        guard handshake != nil else { throw .notReady }
        guard !isClosed else { throw .closed }
        guard !bytes.isEmpty else { return }
        let records = bytes.count / Self.recordBytesMax + 1
        output.reserveCapacity(minimumWritableBytes: bytes.count + records * Self.recordOverheadMax)
        transport.swapOutput(&output)
        defer { transport.swapOutput(&output) }
        OpenSSLErrors.clear()
        changeKeysIfDue(records)
        var written = 0
        // Takes everything: the BIO never refuses, and partial writes are not asked for.
        guard SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &written) == 1 else { throw failed() }
    }

    /// What is written next begins with the change.
    private func changeKeysIfDue(_ records: Int) {
        recordsUnderKey += records
        guard recordsUnderKey > recordsPerKey, handshake?.version == .tls13 else { return }
        recordsUnderKey = 0
        SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
    }

    /// Says that nothing follows (close_notify). Idempotent; before the handshake is done there is nothing to say.
    public func close(output: inout ByteBuffer) {
        guard !isClosed else { return }
        isClosed = true
        guard handshake != nil, fault == nil else { return }
        transport.swapOutput(&output)
        defer { transport.swapOutput(&output) }
        OpenSSLErrors.clear()
        SSL_shutdown(ssl)
        OpenSSLErrors.clear()
    }

    // MARK: OpenSSL

    private func continueHandshake() throws(TLSFault) {
        let before = transport.incoming.readableBytes
        OpenSSLErrors.clear()
        let result = SSL_do_handshake(ssl)
        handshakeBytes += before - transport.incoming.readableBytes
        if result == 1 {
            handshake = summary()
            transport.steps = 0
        } else if SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ {
            throw failed()
        } else if handshakeBytes > Self.handshakeBytesMax {
            fault = .handshakeTooLarge
            throw .handshakeTooLarge
        }
    }

    private func decrypt(into plaintext: inout ByteBuffer) throws(TLSFault) {
        while true {
            let expected = min(max(transport.incoming.readableBytes, 512), Self.recordBytesMax)
            var result: Int32 = 0
            OpenSSLErrors.clear()
            plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: expected) { space in
                result = SSL_read(ssl, space.baseAddress, Int32(clamping: space.count))
                return max(0, Int(result))
            }
            guard transport.steps <= Self.lateStepsMax else { throw refuseLateSteps() }
            if result > 0 { continue }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return
            case SSL_ERROR_ZERO_RETURN:
                peerHasClosed = true
                return
            default: throw failed()
            }
        }
    }

    private func refuseLateSteps() -> TLSFault {
        let found = TLSFault(label: "too_many_key_updates", text: "the peer changes its keys without end")
        fault = found
        return found
    }

    private func failed() -> TLSFault {
        let found = OpenSSLErrors.fault(verification: SSL_get_verify_result(ssl))
        fault = found
        return found
    }

    private func summary() -> TLSHandshake {
        let version = SSL_version(ssl) == TLS1_3_VERSION ? TLSVersion.tls13 : .tls12
        let cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)).map { String(cString: $0) } ?? ""
        let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
        return TLSHandshake(
            version: version, cipher: cipher, alpn: selectedProtocol(), serverName: name, wasResumed: SSL_session_reused(ssl) == 1,
            peerNames: peerNames())
    }

    private func selectedProtocol() -> String? {
        var bytes: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &bytes, &length)
        guard let bytes, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: bytes, count: Int(length)), as: UTF8.self)
    }

    private func peerNames() -> TLSPeerNames {
        // The handshake fails for a certificate that does not verify, so this one did.
        SSL_get0_peer_certificate(ssl).map(CertificateReading.names) ?? TLSPeerNames()
    }

    // MARK: Resumption

    /// For clients: what to go on with in a later connection to the same server. Nil until the server has sent a ticket.
    public var resumption: TLSResumption? {
        guard let session = SSL_get1_session(ssl) else { return nil }
        let resumption = TLSResumption(handle: session)
        return SSL_SESSION_is_resumable(session) == 1 ? resumption : nil
    }
}

/// A session that a later connection may go on with instead of a full handshake (RFC 8446, section 2.2).
public final class TLSResumption: Sendable {
    // `SSL_SESSION`: OpenSSL counts its references atomically, and connections on several threads may go on with the same one. Nothing
    // here changes it.
    fileprivate nonisolated(unsafe) let handle: OpaquePointer

    fileprivate init(handle: OpaquePointer) { self.handle = handle }

    deinit { SSL_SESSION_free(handle) }
}

/// The bytes that OpenSSL reads and writes during one call of a `TLSSession`. A BIO of our own, since a memory BIO keeps its
/// memory and copies once more.
private final class Transport {
    var incoming = ByteBuffer()
    /// Of OpenSSL's state machine, since the handshake began or was done.
    var steps = 0
    private var outgoing = ByteBuffer()

    /// Lends the caller's buffer for the time of a call, and gives it back.
    func swapOutput(_ output: inout ByteBuffer) { swap(&outgoing, &output) }

    /// Does not keep this object: `TLSSession` frees the BIO before it lets go of it.
    func makeBIO() -> OpaquePointer? {
        guard let method = Self.method.handle, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    private func take(_ target: UnsafeMutableRawPointer, _ count: Int) -> Int {
        incoming.readWithUnsafeReadableBytes { bytes in
            let taken = min(count, bytes.count)
            if taken > 0, let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: taken) }
            return taken
        }
    }

    private static let method = Method()

    /// `BIO_METHOD`, made once for the process.
    private struct Method: Sendable {
        // Set up by the initializer, read only by OpenSSL afterwards, and never freed.
        nonisolated(unsafe) let handle: OpaquePointer?

        init() {
            handle = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heliograph")
            BIO_meth_set_read(handle) { Transport.read($0, $1, $2) }
            BIO_meth_set_write(handle) { Transport.write($0, $1, $2) }
            // OpenSSL flushes after each flight of a handshake; nothing else of what it asks applies.
            BIO_meth_set_ctrl(handle) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        }
    }

    private static func owner(of bio: OpaquePointer?) -> Transport? {
        BIO_get_data(bio).map { Unmanaged<Transport>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Told by OpenSSL of each step of a handshake, and not of application data.
    static func note(_ ssl: OpaquePointer?, event: Int32) {
        guard event & SSL_CB_LOOP != 0, let transport = owner(of: SSL_get_rbio(ssl)) else { return }
        transport.steps &+= 1
    }

    private static func read(_ bio: OpaquePointer?, _ target: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
        guard let transport = owner(of: bio), let target, count > 0 else { return -1 }
        shim_BIO_clear_retry_flags(bio)
        let taken = transport.take(target, Int(count))
        guard taken > 0 else {
            shim_BIO_set_retry_read(bio)
            return -1
        }
        return Int32(taken)
    }

    private static func write(_ bio: OpaquePointer?, _ source: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
        guard let owner = BIO_get_data(bio), let source, count > 0 else { return -1 }
        shim_BIO_clear_retry_flags(bio)
        // `TLSSession` holds it: counting references for each record would cost more than the copy.
        Unmanaged<Transport>.fromOpaque(owner)._withUnsafeGuaranteedRef {
            _ = $0.outgoing.writeBytes(UnsafeRawBufferPointer(start: source, count: Int(count)))
        }
        return count
    }
}
