import NIOCore

/// Members of a JSON object, one after the other.
enum JSONField {
    /// - Parameter name: with its quotes and colon.
    static func name(_ name: StaticString, _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        if !isFirst { buffer.writeInteger(UInt8(ascii: ",")) }
        isFirst = false
        buffer.writeStaticString(name)
    }

    static func append(_ literal: StaticString, _ text: String, _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        name(literal, &isFirst, &buffer)
        JSONWriter.append(text, to: &buffer)
    }

    static func append(_ position: RelayPosition, _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        name("\"position\":{", &isFirst, &buffer)
        var isFirstInside = true
        if position.hasEpoch {
            name("\"epoch\":", &isFirstInside, &buffer)
            JSONWriter.append(position.epoch, to: &buffer)
        }
        if position.hasSeq {
            name("\"seq\":", &isFirstInside, &buffer)
            JSONWriter.append(position.seq, to: &buffer)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
