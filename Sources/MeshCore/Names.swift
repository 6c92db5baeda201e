/// Why a room or user id is refused. The text is what the client reads.
public enum NameFault: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case tooLong
    case forbiddenCharacter
    case reserved
    case strayBrace
    case notComposed

    public var description: String {
        switch self {
        case .empty: "an id must not be empty"
        case .tooLong: "an id has at most \(NameRules.bytesMax) bytes"
        case .forbiddenCharacter: "an id must not contain white space or control characters"
        case .reserved: "ids that begin with $ are reserved, and a user id must not begin with @"
        case .strayBrace: "a } must close a non-empty {tag}"
        case .notComposed: "an id must be in Unicode's composed form (NFC)"
        }
    }
}

/// The rules for ids that come from outside: 1 to 255 bytes of UTF-8, no white space, no control characters.
public enum NameRules {
    public static let bytesMax = 255

    /// A room: anything within the rules, `@name` being the inbox of `name`; `$` is reserved; a `}` must close a
    /// non-empty hash tag, so that every key made from the name falls into the room's own shard.
    public static func checkRoom(_ room: String) throws(NameFault) {
        try checkCharacters(room)
        guard room.utf8.first != UInt8(ascii: "$"), room != "@" else { throw .reserved }
        try checkBraces(room)
    }

    /// A user: a room rule too, since `@user` is a room.
    public static func checkUser(_ user: String) throws(NameFault) {
        try checkCharacters(user)
        guard user.utf8.first != UInt8(ascii: "$"), user.utf8.first != UInt8(ascii: "@") else { throw .reserved }
        guard user.utf8.count < bytesMax else { throw .tooLong }
        try checkBraces(user)
    }

    /// The room that is a user's inbox, her devices and her status.
    public static func inbox(of user: String) -> String { "@" + user }

    /// The user whose inbox a room is, or nil for other rooms.
    public static func owner(ofInbox room: String) -> String? {
        room.utf8.first == UInt8(ascii: "@") ? String(room.dropFirst()) : nil
    }

    private static func checkCharacters(_ id: String) throws(NameFault) {
        guard !id.isEmpty else { throw .empty }
        guard id.utf8.count <= bytesMax else { throw .tooLong }
        for scalar in id.unicodeScalars {
            // Nearly all ids are ASCII: for them Unicode's tables are not asked.
            if scalar.isASCII {
                guard scalar.value > 0x20, scalar.value != 0x7F else { throw .forbiddenCharacter }
                continue
            }
            let properties = scalar.properties
            guard !properties.isWhitespace, properties.generalCategory != .control else { throw .forbiddenCharacter }
        }
    }

    private static func checkBraces(_ id: String) throws(NameFault) {
        var open: Int?
        for (index, byte) in id.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "{") where open == nil: open = index
            case UInt8(ascii: "}"):
                guard let start = open, index > start + 1 else { throw .strayBrace }
                open = nil
            default: break
            }
        }
    }
}
