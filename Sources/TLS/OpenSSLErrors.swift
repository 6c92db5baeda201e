import COpenSSL

/// The queue of errors that OpenSSL keeps for each thread. The only file that reads it.
enum OpenSSLErrors {
    /// Before each call whose failure is asked about: what an earlier call left behind would be taken for its reason.
    static func clear() { ERR_clear_error() }

    /// Empties the queue and says the reason that stands deepest, which is the first that was found.
    static func reason() -> String {
        drain().first.map(text) ?? "OpenSSL gives no reason"
    }

    /// The fault of a connection whose last call failed with `SSL_ERROR_SSL`. Empties the queue.
    /// - Parameter verification: what `SSL_get_verify_result` says.
    static func fault(verification: Int) -> TLSFault {
        let codes = drain()
        guard let first = codes.first else { return TLSFault(label: "failed", text: "OpenSSL gives no reason") }
        // A cipher that fails says so first, and then the protocol says what that means.
        guard let code = codes.first(where: { ERR_GET_LIB($0) == ERR_LIB_SSL }) else {
            return TLSFault(label: "failed", text: text(of: first))
        }
        let reason = ERR_GET_REASON(code)
        if reason == SSL_R_CERTIFICATE_VERIFY_FAILED { return certificateFault(verification) }
        if reason > SSL_AD_REASON_OFFSET { return alertFault(reason - SSL_AD_REASON_OFFSET) }
        return TLSFault(label: labels[reason] ?? "protocol_error", text: text(of: code))
    }

    /// The queue holds 16 at most.
    private static func drain() -> [UInt] {
        var codes: [UInt] = []
        while case let code = ERR_get_error(), code != 0 { codes.append(code) }
        return codes
    }

    private static func text(of code: UInt) -> String {
        ERR_reason_error_string(code).map { String(cString: $0) } ?? "unknown error \(code)"
    }

    /// The peer said why it will not go on.
    private static func alertFault(_ alert: Int32) -> TLSFault {
        let name = SSL_alert_desc_string_long(alert).map { String(cString: $0) } ?? "unknown"
        let label = name.lowercased().map { $0.isLetter || $0.isNumber ? $0 : "_" }
        return TLSFault(label: "alert_" + String(label), text: "the peer refuses: \(name)")
    }

    private static func certificateFault(_ verification: Int) -> TLSFault {
        let text = String(cString: X509_verify_cert_error_string(verification))
        return TLSFault(label: certificateLabels[Int32(truncatingIfNeeded: verification)] ?? "certificate_rejected", text: text)
    }

    private static let certificateLabels: [Int32: String] = [
        X509_V_ERR_CERT_HAS_EXPIRED: "certificate_expired",
        X509_V_ERR_CERT_NOT_YET_VALID: "certificate_not_yet_valid",
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: "unknown_ca",
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_ca",
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_ca",
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "unknown_ca",
        X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: "unknown_ca",
        X509_V_ERR_CERT_SIGNATURE_FAILURE: "unknown_ca",
        X509_V_ERR_HOSTNAME_MISMATCH: "wrong_name",
        X509_V_ERR_IP_ADDRESS_MISMATCH: "wrong_name",
        X509_V_ERR_INVALID_PURPOSE: "wrong_purpose",
    ]

    private static let labels: [Int32: String] = [
        SSL_R_HTTP_REQUEST: "not_tls",
        SSL_R_HTTPS_PROXY_REQUEST: "not_tls",
        SSL_R_WRONG_VERSION_NUMBER: "not_tls",
        SSL_R_UNSUPPORTED_PROTOCOL: "protocol_version",
        SSL_R_VERSION_TOO_LOW: "protocol_version",
        SSL_R_NO_SHARED_CIPHER: "no_shared_cipher",
        SSL_R_NO_SUITABLE_KEY_SHARE: "no_shared_group",
        SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM: "no_shared_signature",
        SSL_R_NO_APPLICATION_PROTOCOL: "no_application_protocol",
        SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: "no_client_certificate",
        SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: "bad_record",
        SSL_R_BAD_RECORD_TYPE: "bad_record",
        SSL_R_RECORD_LENGTH_MISMATCH: "bad_record",
        SSL_R_PACKET_LENGTH_TOO_LONG: "bad_record",
        SSL_R_ENCRYPTED_LENGTH_TOO_LONG: "bad_record",
        SSL_R_DATA_LENGTH_TOO_LONG: "bad_record",
        SSL_R_EXCESSIVE_MESSAGE_SIZE: "handshake_too_large",
    ]
}
