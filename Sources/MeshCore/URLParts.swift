/// The parts of a URL (RFC 3986, section 3) that a client needs. Nothing is decoded.
public struct URLParts: Hashable, Sendable {
    /// In lower case.
    public let scheme: String
    public let authority: String
    public let path: String
    /// With its question mark; empty if there is none.
    public let query: String

    /// Nil for what is no `scheme://authority...`, or has characters that no URL has.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let colon = text.firstIndex(of: ":") else { return nil }
        scheme = text[..<colon].lowercased()
        let rest = text[text.index(after: colon)...].prefix { $0 != "#" }
        guard rest.hasPrefix("//") else { return nil }
        let afterSlashes = rest.dropFirst(2)
        let authority = afterSlashes.prefix { $0 != "/" && $0 != "?" }
        let target = afterSlashes[authority.endIndex...]
        let path = target.prefix { $0 != "?" }
        (self.authority, self.path, query) = (String(authority), String(path), String(target[path.endIndex...]))
    }

    /// Nil without a host, with a port that is none, with a user, or with an IPv6 address that is not in brackets.
    public func address(defaultPort: Int) -> (host: String, port: Int)? {
        var host = authority[...]
        var port = defaultPort
        if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") {
            guard let number = Int(host[host.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            (host, port) = (host[..<colon], number)
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
        return host.isEmpty || host.contains("@") ? nil : (String(host), port)
    }
}
