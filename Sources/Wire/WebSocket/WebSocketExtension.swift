/// One element of `Sec-WebSocket-Extensions` (RFC 6455, section 9.1). Names and values are compared exactly, as clients do.
public struct WebSocketExtension: Hashable, Sendable {
    public struct Parameter: Hashable, Sendable {
        public let name: String
        /// Without its quotes; nil for a parameter that only stands there.
        public let value: String?
    }

    public let name: String
    public let parameters: [Parameter]

    /// The extensions of all fields of that name, in their order; nil if one breaks the grammar.
    public static func parse(_ fields: [String]) -> [WebSocketExtension]? {
        var extensions: [WebSocketExtension] = []
        for field in fields {
            var scanner = ExtensionScanner(field)
            guard let found = scanner.list() else { return nil }
            extensions += found
        }
        return extensions
    }
}

/// Reads one field from left to right. Each step answers nil where the grammar is broken.
private struct ExtensionScanner {
    private var rest: ArraySlice<UInt8>

    init(_ field: String) { rest = Array(field.utf8)[...] }

    /// Elements between commas. Empty elements are skipped (RFC 9110, section 5.6.1.2).
    mutating func list() -> [WebSocketExtension]? {
        var extensions: [WebSocketExtension] = []
        repeat {
            skipSpace()
            guard !rest.isEmpty, rest.first != UInt8(ascii: ",") else { continue }
            guard let element = element() else { return nil }
            extensions.append(element)
        } while take(",")
        return rest.isEmpty ? extensions : nil
    }

    private mutating func element() -> WebSocketExtension? {
        guard let name = token() else { return nil }
        var parameters: [WebSocketExtension.Parameter] = []
        while take(";") {
            guard let parameter = parameter() else { return nil }
            parameters.append(parameter)
        }
        return WebSocketExtension(name: name, parameters: parameters)
    }

    private mutating func parameter() -> WebSocketExtension.Parameter? {
        guard let name = token() else { return nil }
        guard take("=") else { return WebSocketExtension.Parameter(name: name, value: nil) }
        guard let value = take("\"") ? quotedToken() : token() else { return nil }
        return WebSocketExtension.Parameter(name: name, value: value)
    }

    /// What stands between quotes must be a token, too, once its backslashes are gone.
    private mutating func quotedToken() -> String? {
        var value: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte != UInt8(ascii: "\"") else { return value.isEmpty ? nil : String(decoding: value, as: UTF8.self) }
            guard let character = byte == UInt8(ascii: "\\") ? rest.popFirst() : byte, isTokenByte(character) else { return nil }
            value.append(character)
        }
        return nil
    }

    private mutating func token() -> String? {
        skipSpace()
        let token = rest.prefix(while: isTokenByte)
        guard !token.isEmpty else { return nil }
        rest = rest[token.endIndex...]
        return String(decoding: token, as: UTF8.self)
    }

    /// Takes the character if it comes next, after white space.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }
}

/// RFC 9110, section 5.6.2.
private func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
