/// Where a relay listens for clients: `ws://host:7100`, `http://host:7100`, or with the path of the WebSocket.
public struct RelayURL: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: Int
    /// Path and query as they are requested; `/v1/ws` if the URL had none.
    public let path: String

    /// - Throws: `HeliographClientError.invalidURL`, or `.secureTransportUnavailable` for `wss:` and `https:`.
    public init(_ text: String) throws(HeliographClientError) {
        guard let scheme = text.range(ofFirst: "://") else { throw .invalidURL(text) }
        switch text[..<scheme.lowerBound].lowercased() {
        case "ws", "http": break
        case "wss", "https": throw .secureTransportUnavailable
        default: throw .invalidURL(text)
        }
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value < 0x7F }) else { throw .invalidURL(text) }
        let rest = text[scheme.upperBound...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest[authority.endIndex...]
        guard let (host, port) = Self.split(authority) else { throw .invalidURL(text) }
        self.host = host
        self.port = port
        switch target.first {
        case nil: path = Self.defaultPath
        case "?": path = Self.defaultPath + target
        default: path = target == "/" ? Self.defaultPath : String(target)
        }
    }

    public static let defaultPath = "/v1/ws"

    /// Host and port as the `Host` field has them.
    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    public var description: String { "ws://\(authority)\(path)" }

    private static func split(_ authority: Substring) -> (host: String, port: Int)? {
        var host = authority
        var port = 80
        let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[afterBracket...].lastIndex(of: ":") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            host = authority[..<colon]
            port = number
        }
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        return host.isEmpty || host.contains("@") ? nil : (String(host), port)
    }
}

extension String {
    fileprivate func range(ofFirst needle: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}
