import COpenSSL

/// Keyed hashes: who knows the key can tell that a message is from somebody who knows it too.
public enum MessageAuthentication {
    /// HMAC with SHA-256 (RFC 2104, RFC 6234): 32 bytes. Empty only if OpenSSL has no memory left.
    public static func hmacSHA256(_ message: some Sequence<UInt8>, key: [UInt8]) -> [UInt8] {
        let message = Array(message)
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length = 0
        let made = EVP_Q_mac(
            nil, "HMAC", nil, "SHA256", nil, key, key.count, message, message.count, &code, code.count, &length)
        return made == nil ? [] : Array(code.prefix(length))
    }

    /// Whether two codes are the same, and are codes. Takes the same time whatever is different.
    public static func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        !a.isEmpty && a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
    }
}
