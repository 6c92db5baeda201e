import TLS

/// How a webhook's receiver knows that a request is ours: HMAC-SHA256 over the time and the body, which nobody else can make, with a time
/// that tells an old request that somebody sends again.
public enum WebhookSignature {
    /// The value of `heliograph-signature`.
    ///
    /// - Parameter timestamp: the value of `heliograph-timestamp`, seconds since 1970.
    public static func sign(timestamp: String, body: some Sequence<UInt8>, secret: [UInt8]) -> String {
        "v1=" + hex(MessageAuthentication.hmacSHA256(Array(timestamp.utf8) + [UInt8(ascii: ".")] + body, key: secret))
    }

    /// A name for the set of notifications that a request carries: the same when the same set is sent again.
    static func delivery(ids: [String], secret: [UInt8]) -> String {
        String(hex(MessageAuthentication.hmacSHA256(ids.joined(separator: "\n").utf8, key: secret)).prefix(32))
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
