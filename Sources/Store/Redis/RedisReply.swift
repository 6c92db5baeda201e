import NIOCore

/// One reply of RESP2.
enum RedisReply: Hashable, Sendable {
    case status(String)
    case error(String)
    case integer(Int64)
    case bulk(ByteBuffer)
    case array([RedisReply])
    case null
}

extension RedisReply {
    /// The reply itself, or the error it carries as the one that callers of a store see.
    func checked() throws(StoreError) -> RedisReply {
        guard case .error(let text) = self else { return self }
        switch RedisErrorKind(text) {
        case .unavailable, .scriptMissing: throw .unavailable(text)
        case .misuse: throw .unexpectedReply(text)
        }
    }

    func array() throws(StoreError) -> [RedisReply] {
        guard case .array(let elements) = self else { throw unexpected("an array") }
        return elements
    }

    func bytes() throws(StoreError) -> ByteBuffer {
        guard case .bulk(let buffer) = self else { throw unexpected("a bulk string") }
        return buffer
    }

    func text() throws(StoreError) -> String { String(buffer: try bytes()) }

    func number() throws(StoreError) -> UInt64 { try parsed(UInt64.init) }

    func milliseconds() throws(StoreError) -> Int64 { try parsed(Int64.init) }

    /// A bulk string, read by `parse`.
    func parsed<Value>(_ parse: (String) -> Value?) throws(StoreError) -> Value {
        guard let value = parse(try text()) else { throw unexpected("\(Value.self)") }
        return value
    }

    func unexpected(_ wanted: String) -> StoreError {
        .unexpectedReply("wanted \(wanted), got \(String(describing: self).prefix(200))")
    }
}

/// What an error reply says about the store.
enum RedisErrorKind: Hashable, Sendable {
    /// The server cannot do its work now: LOADING, READONLY, OOM and their like, of which Redis keeps inventing more. So this is
    /// what every code stands for that is not known to be something else.
    case unavailable
    /// NOSCRIPT: the scripts that this connection loaded are gone.
    case scriptMissing
    /// The command itself is wrong. Another try would fail the same way, and the server is well.
    case misuse

    init(_ text: String) {
        let code = text.prefix { $0 != " " }
        switch code {
        case "NOSCRIPT": self = .scriptMissing
        case "WRONGTYPE", "CROSSSLOT", "INVALIDOBJ", "NOPROTO": self = .misuse
        case "ERR": self = Self.hidesDegradation(text) ? .unavailable : .misuse
        default: self = .unavailable
        }
    }

    /// Before version 7, errors inside a script came wrapped in an ERR of its own; and a server that is full of clients says so by ERR.
    private static func hidesDegradation(_ text: String) -> Bool {
        let signs = ["-OOM", "-READONLY", "-MISCONF", "-NOREPLICAS", "-LOADING", "-MASTERDOWN", "-BUSY", "max number of clients"]
        return signs.contains { text.contains($0) }
    }
}
