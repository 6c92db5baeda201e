import NIOCore

/// The five bytes before each message of a gRPC stream (gRPC over HTTP/2, "Length-Prefixed-Message").
enum GRPCPrefix {
    static let bytes = 5

    static func append(bytes count: Int, to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(UInt32(count))
    }

    /// Nil for a prefix that is cut off or says that the message is compressed.
    static func readLength(from buffer: inout ByteBuffer) -> UInt64? {
        guard let (compressed, length) = buffer.readMultipleIntegers(as: (UInt8, UInt32).self), compressed == 0 else { return nil }
        return UInt64(length)
    }
}
