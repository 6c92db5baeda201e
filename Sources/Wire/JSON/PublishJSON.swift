/// Reads `{"id":7,"publish":{"room":"r","text":"t"}}` by hand: the frame that clients send most. Whatever is unusual in it or wrong is left to
/// the general way: escapes, headers, data, members that are not known or come twice.
struct PublishJSON {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    /// Nil for a frame that is for the general way.
    static func frame(_ bytes: UnsafeRawBufferPointer) -> RelayClientFrame? {
        var reader = PublishJSON(bytes: bytes)
        return reader.frame()
    }

    private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    // MARK: Objects

    private mutating func frame() -> RelayClientFrame? {
        var frame = RelayClientFrame()
        let isRead = readMembers { reader, name in
            if name.is("id"), !frame.hasID {
                guard let id = reader.readID() else { return false }
                frame.id = id
            } else if name.is("publish"), frame.frame == nil {
                guard let publish = reader.readPublish() else { return false }
                frame.frame = .publish(publish)
            } else {
                return false
            }
            return true
        }
        skipSpace()
        return isRead && index == bytes.count && frame.frame != nil ? frame : nil
    }

    private mutating func readPublish() -> RelayPublish? {
        var publish = RelayPublish()
        let isRead = readMembers { reader, name in
            guard let value = reader.readString() else { return false }
            if name.is("durability"), !publish.hasDurability {
                guard let durability = Self.durability(value) else { return false }
                publish.durability = durability
                return true
            }
            guard let text = value.text else { return false }
            if name.is("room"), !publish.hasRoom {
                publish.room = text
            } else if name.is("text"), publish.content == nil {
                publish.text = text
            } else if name.is("key"), !publish.hasKey {
                publish.key = text
            } else if name.is("contentType"), !publish.hasContentType {
                publish.contentType = text
            } else {
                return false
            }
            return true
        }
        return isRead ? publish : nil
    }

    private static func durability(_ name: Literal) -> RelayDurability? {
        if name.is("HOME") { return .home }
        if name.is("EPHEMERAL") { return .ephemeral }
        return name.is("MESH") ? .mesh : nil
    }

    /// `{"name":value,...}` with at least one member.
    ///
    /// - Parameter read: takes the value of a member; false if it cannot.
    private mutating func readMembers(_ read: (inout PublishJSON, Literal) -> Bool) -> Bool {
        guard take(UInt8(ascii: "{")) else { return false }
        repeat {
            guard let name = readString(), take(UInt8(ascii: ":")), read(&self, name) else { return false }
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "}"))
    }

    // MARK: Tokens

    /// What stands between the quotes of a string without escapes.
    private struct Literal {
        let bytes: UnsafeRawBufferPointer

        func `is`(_ word: StaticString) -> Bool {
            word.withUTF8Buffer { bytes.count == $0.count && bytes.elementsEqual($0) }
        }

        /// Nil for what is not UTF-8.
        var text: String? { String(validating: bytes, as: UTF8.self) }
    }

    private mutating func readString() -> Literal? {
        guard take(JSONWriter.quote) else { return nil }
        let start = index
        while index < bytes.count, bytes[index] != JSONWriter.quote {
            guard bytes[index] >= 0x20, bytes[index] != UInt8(ascii: "\\") else { return nil }
            index += 1
        }
        defer { index += 1 }
        return index < bytes.count ? Literal(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<index])) : nil
    }

    /// Digits without a leading zero.
    private mutating func readID() -> UInt32? {
        skipSpace()
        let start = index
        var id: UInt32 = 0
        while index < bytes.count, case let digit = bytes[index] &- UInt8(ascii: "0"), digit < 10 {
            let (tens, isTooLarge) = id.multipliedReportingOverflow(by: 10)
            let (sum, hasCarried) = tens.addingReportingOverflow(UInt32(digit))
            guard !isTooLarge, !hasCarried else { return nil }
            id = sum
            index += 1
        }
        guard index > start, index == start + 1 || bytes[start] != UInt8(ascii: "0") else { return nil }
        return id
    }

    private mutating func skipSpace() {
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    private mutating func take(_ token: UInt8) -> Bool {
        skipSpace()
        guard index < bytes.count, bytes[index] == token else { return false }
        index += 1
        return true
    }
}
