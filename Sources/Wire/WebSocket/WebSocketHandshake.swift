public import NIOCore

/// The opening handshake (RFC 6455, section 4).
public enum WebSocketHandshake {
    public static let version = "13"
    private static let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (section 4.2.2, item 5.4).
    public static func acceptKey(for key: String) -> String {
        Base64.string(SHA1.digest(Array((key + guid).utf8)))
    }

    /// Whether a `Sec-WebSocket-Key` is the base64 form of 16 bytes (RFC 6455, section 4.2.1).
    public static func isValidKey(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        guard bytes.count == 24, bytes[22...] == [UInt8(ascii: "="), UInt8(ascii: "=")] else { return false }
        return bytes[..<22].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "+"), UInt8(ascii: "/"): true
            default: false
            }
        }
    }

    /// A fresh `Sec-WebSocket-Key`: 16 random bytes in base64.
    public static func makeKey(using random: inout some RandomNumberGenerator) -> String {
        Base64.string((0..<16).map { _ in UInt8.random(in: 0...255, using: &random) })
    }

    /// The client's request. Every argument must be free of CR and LF.
    /// - Parameter extensions: what is offered, as `PermessageDeflate.offer` writes it.
    public static func appendRequest(
        host: String, path: String, key: String, subprotocols: [String], extensions: String? = nil, to buffer: inout ByteBuffer
    ) {
        buffer.writeString("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        buffer.writeString("Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: \(version)\r\n")
        if !subprotocols.isEmpty { buffer.writeString("Sec-WebSocket-Protocol: \(subprotocols.joined(separator: ", "))\r\n") }
        if let extensions { buffer.writeString("Sec-WebSocket-Extensions: \(extensions)\r\n") }
        buffer.writeString("\r\n")
    }

    /// The server's agreement.
    /// - Parameter extensions: what is granted, as `PermessageDeflate.responseHeader` writes it.
    public static func appendResponse(key: String, subprotocol: String?, extensions: String? = nil, to buffer: inout ByteBuffer) {
        buffer.writeString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        buffer.writeString("Sec-WebSocket-Accept: \(acceptKey(for: key))\r\n")
        if let subprotocol { buffer.writeString("Sec-WebSocket-Protocol: \(subprotocol)\r\n") }
        if let extensions { buffer.writeString("Sec-WebSocket-Extensions: \(extensions)\r\n") }
        buffer.writeString("\r\n")
    }
}

/// The head of an HTTP/1.1 request or response, as far as a WebSocket handshake needs it.
public struct HandshakeHead: Sendable {
    public enum Fault: Error, Hashable, Sendable { case tooLarge, malformed }

    /// `GET /v1/ws HTTP/1.1` or `HTTP/1.1 101 Switching Protocols`.
    public let startLine: String
    /// Names in lower case, values trimmed, in their order.
    public let fields: [(name: String, value: String)]

    /// Takes a head with its empty line off the front of `buffer`; nil while it is incomplete.
    public static func take(from buffer: inout ByteBuffer, bytesMax: Int) throws(Fault) -> HandshakeHead? {
        guard let end = endOfHead(in: buffer) else {
            guard buffer.readableBytes <= bytesMax else { throw .tooLarge }
            return nil
        }
        guard end <= bytesMax else { throw .tooLarge }
        guard let text = buffer.readString(length: end) else { throw .malformed }
        return try HandshakeHead(text)
    }

    public func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }
    /// Of all fields of that name, in their order.
    public func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// The status code of a response; nil for a request.
    public var statusCode: Int? {
        let words = startLine.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1.") else { return nil }
        return Int(words[1])
    }

    private init(_ text: String) throws(Fault) {
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: true)
        guard let first = lines.first else { throw .malformed }
        startLine = String(first)
        var fields: [(name: String, value: String)] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else { throw .malformed }
            let value = line[line.index(after: colon)...]
            fields.append((line[..<colon].lowercased(), trim(value)))
        }
        self.fields = fields
    }

    private static func endOfHead(in buffer: ByteBuffer) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            guard bytes.count >= 4 else { return nil }
            for index in 0...bytes.count - 4 where bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self).bigEndian == 0x0D0A_0D0A {
                return index + 4
            }
            return nil
        }
    }
}

private func trim(_ text: Substring) -> String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    let head = text.drop(while: isSpace)
    guard let last = head.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(head[...last])
}
