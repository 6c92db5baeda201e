/// Where an HTTP request goes: the parts of an `http://` or `https://` URL.
public struct WebAddress: Hashable, Sendable, CustomStringConvertible {
    public let isEncrypted: Bool
    public let host: String
    public let port: Int
    /// Path and query, as the URL has them; `/` without a path.
    public let target: String
    /// Host and port as the `Host` field has them.
    public let authority: String

    /// Nil for anything else.
    public init?(_ url: String) {
        guard let parts = URLParts(url), parts.scheme == "http" || parts.scheme == "https" else { return nil }
        isEncrypted = parts.scheme == "https"
        guard let (host, port) = parts.address(defaultPort: isEncrypted ? 443 : 80) else { return nil }
        (self.host, self.port, authority) = (host, port, parts.authority)
        target = (parts.path.isEmpty ? "/" : parts.path) + parts.query
    }

    /// Whether what is sent there stays on this machine.
    public var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" || host == "localhost" }

    public var description: String { "\(isEncrypted ? "https" : "http")://\(authority)\(target)" }
}
