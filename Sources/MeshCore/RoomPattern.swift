/// Which rooms a rule is about: one room by its name, or all whose names begin alike, written with a `*` at the end.
public struct RoomPattern: Hashable, Sendable, CustomStringConvertible {
    public var text: String

    public init(_ text: String) { self.text = text }

    public var description: String { text }

    public func matches(_ room: String) -> Bool {
        isPrefix ? room.hasPrefix(text.dropLast()) : room == text
    }

    /// Whether every room that `other` matches is matched by this one too.
    public func covers(_ other: RoomPattern) -> Bool {
        other.isPrefix ? isPrefix && other.text.dropLast().hasPrefix(text.dropLast()) : matches(other.text)
    }

    private var isPrefix: Bool { text.utf8.last == UInt8(ascii: "*") }
}
