public import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Writes `{"message":{...}}`, the server frame that fan-out consists of, by hand: proto3's JSON mapping with 64-bit
/// integers as numbers. Fields that are not set are left out, as is an empty map of headers.
public enum MessageJSON {
    /// Appends one frame, without a separator.
    public static func append(_ message: RelayMessage, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"message\":{")
        var isFirst = true
        if message.hasRoom { JSONField.append("\"room\":", message.room, &isFirst, &buffer) }
        if message.hasPosition { JSONField.append(message.position, &isFirst, &buffer) }
        if message.hasFrom { JSONField.append("\"from\":", message.from, &isFirst, &buffer) }
        if message.hasDevice { JSONField.append("\"device\":", message.device, &isFirst, &buffer) }
        if message.hasKey { JSONField.append("\"key\":", message.key, &isFirst, &buffer) }
        if message.hasAt {
            JSONField.name("\"at\":", &isFirst, &buffer)
            JSONWriter.append(message.at, to: &buffer)
        }
        content(message, &isFirst, &buffer)
        if message.hasContentType { JSONField.append("\"contentType\":", message.contentType, &isFirst, &buffer) }
        if !message.headers.isEmpty { headers(message.headers, &isFirst, &buffer) }
        buffer.writeStaticString("}}")
    }

    private static func content(_ message: RelayMessage, _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        switch message.content {
        case .text(let text): JSONField.append("\"text\":", text, &isFirst, &buffer)
        case .data(let data):
            JSONField.name("\"data\":", &isFirst, &buffer)
            data.withUnsafeBytes { JSONWriter.append(base64: $0, to: &buffer) }
        case nil: break
        }
    }

    private static func headers(_ headers: [String: String], _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        JSONField.name("\"headers\":{", &isFirst, &buffer)
        var isFirstInside = true
        for (key, value) in headers {
            if !isFirstInside { buffer.writeInteger(UInt8(ascii: ",")) }
            isFirstInside = false
            JSONWriter.append(key, to: &buffer)
            buffer.writeInteger(UInt8(ascii: ":"))
            JSONWriter.append(value, to: &buffer)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
