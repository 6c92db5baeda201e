import MeshCore

/// Where a relay listens for clients: `ws://host:7100`, `https://host`, or with a path of one's own.
public struct RelayURL: Hashable, Sendable, CustomStringConvertible {
    /// `wss:` or `https:`.
    public let isEncrypted: Bool
    public let host: String
    public let port: Int
    /// As the URL has it; empty if the path of the transport is meant.
    public let path: String
    /// With its question mark; empty if there is none.
    public let query: String

    /// - Throws: `HeliographClientError.invalidURL`.
    public init(_ text: String) throws(HeliographClientError) {
        guard let parts = URLParts(text) else { throw .invalidURL(text) }
        switch parts.scheme {
        case "ws", "http": isEncrypted = false
        case "wss", "https": isEncrypted = true
        default: throw .invalidURL(text)
        }
        guard let (host, port) = parts.address(defaultPort: isEncrypted ? 443 : 80) else { throw .invalidURL(text) }
        (self.host, self.port) = (host, port)
        path = parts.path == "/" ? "" : parts.path
        query = parts.query
    }

    /// What is asked for.
    func target(defaultPath: String) -> String { (path.isEmpty ? defaultPath : path) + query }

    /// Host and port as the `Host` field has them.
    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    public var description: String { "\(isEncrypted ? "wss" : "ws")://\(authority)\(path)\(query)" }
}
