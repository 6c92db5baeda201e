import NIOCore

/// Writes `{"id":7,"published":{...}}` by hand: every publish has one, and the general way costs more than all else that its edge does for it.
/// Fields that are not set are left out.
enum PublishedJSON {
    static func append(_ published: RelayPublished, id: UInt32?, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("{")
        if let id {
            buffer.writeStaticString("\"id\":")
            JSONWriter.append(UInt64(id), to: &buffer)
            buffer.writeStaticString(",")
        }
        buffer.writeStaticString("\"published\":{")
        var isFirst = true
        if published.hasRoom { JSONField.append("\"room\":", published.room, &isFirst, &buffer) }
        if published.hasKey { JSONField.append("\"key\":", published.key, &isFirst, &buffer) }
        if published.hasPosition { JSONField.append(published.position, &isFirst, &buffer) }
        if published.hasAt {
            JSONField.name("\"at\":", &isFirst, &buffer)
            JSONWriter.append(published.at, to: &buffer)
        }
        if published.hasDuplicate {
            JSONField.name("\"duplicate\":", &isFirst, &buffer)
            buffer.writeStaticString(published.duplicate ? "true" : "false")
        }
        if published.hasDurability { durability(published.durability, &isFirst, &buffer) }
        buffer.writeStaticString("}}")
    }

    private static func durability(_ durability: RelayDurability, _ isFirst: inout Bool, _ buffer: inout ByteBuffer) {
        JSONField.name("\"durability\":", &isFirst, &buffer)
        switch durability {
        case .home: buffer.writeStaticString("\"HOME\"")
        case .mesh: buffer.writeStaticString("\"MESH\"")
        case .ephemeral: buffer.writeStaticString("\"EPHEMERAL\"")
        case .UNRECOGNIZED(let number): JSONWriter.append(Int64(number), to: &buffer)
        }
    }
}
