public import NIOCore

/// Base64 with padding (RFC 4648, section 4), written straight into a buffer.
public enum Base64 {
    private static let alphabet: [UInt8] = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    public static func append(_ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) {
        let encodedBytes = (bytes.count + 2) / 3 * 4
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: encodedBytes) { target in
            alphabet.withUnsafeBufferPointer { alphabet in
                for group in 0..<encodedBytes / 4 { encode(bytes, group, alphabet, into: target) }
            }
            return encodedBytes
        }
    }

    public static func string(_ bytes: [UInt8]) -> String {
        var buffer = ByteBuffer()
        bytes.withUnsafeBytes { append($0, to: &buffer) }
        return String(buffer: buffer)
    }

    private static func encode(
        _ bytes: UnsafeRawBufferPointer, _ group: Int, _ alphabet: UnsafeBufferPointer<UInt8>, into target: UnsafeMutableRawBufferPointer
    ) {
        let index = group * 3
        let present = min(3, bytes.count - index)
        var bits = UInt32(bytes[index]) << 16
        if present > 1 { bits |= UInt32(bytes[index + 1]) << 8 }
        if present > 2 { bits |= UInt32(bytes[index + 2]) }
        target[group * 4] = alphabet[Int(bits >> 18)]
        target[group * 4 + 1] = alphabet[Int(bits >> 12 & 63)]
        target[group * 4 + 2] = present > 1 ? alphabet[Int(bits >> 6 & 63)] : padding
        target[group * 4 + 3] = present > 2 ? alphabet[Int(bits & 63)] : padding
    }
}
