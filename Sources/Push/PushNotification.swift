import MeshCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a user is told outside of her sessions: that a message waits in her inbox.
public struct PushNotification: Hashable, Sendable, Codable {
    public enum Reason: String, Hashable, Sendable, Codable {
        /// It came while she had no session.
        case message
        /// It came while she had one, which ended without confirming it.
        case unconfirmed
    }

    public struct Place: Hashable, Sendable, Codable {
        public var epoch: UInt64
        public var seq: UInt64
    }

    public var user: String
    public var room: String
    /// Of the message, the newest if it stands for several.
    public var position: Place
    public var from: String
    public var contentType: String
    /// The beginning of the message; nil for data.
    public var text: String?
    /// The size of the message's data; nil for text.
    public var dataBytes: Int?
    /// When the home took the message, ms since 1970.
    public var at: WallMilliseconds
    public var reason: Reason
    /// How many messages it stands for.
    public var count: UInt64
    /// Messages of the room that she has not read; nil when that is not known.
    public var unread: UInt64?

    public init(
        user: String, room: String, position: Position, from: String, contentType: String, text: String?, dataBytes: Int?,
        at: WallMilliseconds, reason: Reason, count: UInt64, unread: UInt64? = nil
    ) {
        self.user = user
        self.room = room
        self.position = Place(epoch: position.epoch, seq: position.seq)
        self.from = from
        self.contentType = contentType
        self.text = text
        self.dataBytes = dataBytes
        self.at = at
        self.reason = reason
        self.count = count
        self.unread = unread
    }

    /// The same for the same notification, whoever makes it and however often it is sent: receivers tell repeats by it.
    public var id: String { "\(user)/\(position.epoch)-\(position.seq)/\(reason.rawValue)" }

    /// The beginning of a text, at most `bytesMax` long, cut between characters.
    public static func preview(_ text: String, bytesMax: Int) -> String {
        guard text.utf8.count > bytesMax else { return text }
        var preview = ""
        var bytes = 0
        for character in text {
            bytes += character.utf8.count
            guard bytes + 3 <= bytesMax else { break }
            preview.append(character)
        }
        return preview + "…"
    }
}

/// A notification as it stands in the queue of a service.
public struct QueuedNotification: Hashable, Sendable, Codable {
    public var notification: PushNotification
    /// Devices that have not got it yet; nil for all.
    public var devices: [String]?

    public init(_ notification: PushNotification, devices: [String]? = nil) {
        self.notification = notification
        self.devices = devices
    }

    public func encoded() throws -> [UInt8] { try Array(PushJSON.encode(self)) }

    /// Nil for bytes that are none.
    public init?(_ bytes: some Sequence<UInt8>) {
        guard let decoded = try? JSONDecoder().decode(QueuedNotification.self, from: Data(bytes)) else { return nil }
        self = decoded
    }
}

/// JSON as it is sent and stored: keys sorted, so that equal values are equal bytes.
enum PushJSON {
    static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }
}
