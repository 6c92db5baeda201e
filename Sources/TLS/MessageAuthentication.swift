import COpenSSL

/// HMAC with SHA-256 (RFC 2104): says that a text was made by somebody who knows the key.
public struct MessageAuthentication: Sendable {
    /// Of a code.
    public static let bytes = 32

    private let key: [UInt8]

    public init(key: [UInt8]) { self.key = key }

    /// A key for one purpose alone, so that what is signed for it means nothing elsewhere.
    public init(secret: [UInt8], purpose: String) {
        key = MessageAuthentication(key: secret).code(for: Array(purpose.utf8))
    }

    public func code(for message: [UInt8]) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Self.bytes)
        var length: UInt32 = 0
        let made = HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &code, &length)
        precondition(made != nil && Int(length) == Self.bytes, "SHA-256 is part of every OpenSSL, and needs no memory to speak of")
        return code
    }

    /// Takes the same time whatever is wrong with the code.
    public func verifies(_ code: [UInt8], for message: [UInt8]) -> Bool {
        code.count == Self.bytes && CRYPTO_memcmp(code, self.code(for: message), Self.bytes) == 0
    }
}
