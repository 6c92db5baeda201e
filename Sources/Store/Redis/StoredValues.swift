import MeshCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How values look in Redis: readable by people in redis-cli.
extension MemberKey {
    /// `<region>/<node>#<boot>/<session>`
    var field: String { "\(owner)/\(session)" }

    init?(field: String) {
        guard let slash = field.lastIndex(of: "/"), let session = UInt64(field[field.index(after: slash)...]) else { return nil }
        guard let owner = NodeBoot(field[..<slash]) else { return nil }
        self.init(owner: owner, session: session)
    }
}

extension NodeBoot {
    /// Reads what `description` writes.
    init?(_ text: some StringProtocol) {
        guard let hash = text.lastIndex(of: "#"), let boot = Boot(text[text.index(after: hash)...]), let node = NodeID(text[..<hash])
        else { return nil }
        self.init(node: node, boot: boot)
    }
}

extension ReceiptOwner {
    /// No user id contains NUL.
    var field: String { isHidden ? user + "\0" : user }

    init(field: String) {
        let isHidden = field.utf8.last == 0
        self.init(user: isHidden ? String(field.dropLast()) : field, isHidden: isHidden)
    }
}

/// The value of a member's field.
struct MemberRecord: Codable {
    var user: String
    var device: String
    var status: String
    var note: String
    var identity: UInt64?
    var taken: UInt64?

    init(_ member: StoredMember) {
        user = member.user
        device = member.device
        status = member.status.word
        note = member.note
        identity = member.identity == 0 ? nil : member.identity
        taken = member.taken == 0 ? nil : member.taken
    }

    func member(_ key: MemberKey) -> StoredMember {
        StoredMember(
            key: key, user: user, device: device, status: Status(word: status) ?? .unknown, note: note,
            identity: identity ?? 0, taken: taken ?? 0)
    }
}

/// JSON as it stands in Redis: keys sorted, so that equal values are equal bytes.
enum StoredJSON {
    static func encode(_ value: some Encodable) throws(StoreError) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return ByteBuffer(bytes: try encoder.encode(value))
        } catch {
            throw .unexpectedReply("cannot encode \(type(of: value)): \(error)")
        }
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws(StoreError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch {
            throw .unexpectedReply("\(type) wanted, got \(String(String(buffer: buffer).prefix(200)))")
        }
    }
}

extension Status {
    private static let words: [(status: Status, word: String)] = [
        (.online, "online"), (.away, "away"), (.busy, "busy"), (.invisible, "invisible"), (.offline, "offline"), (.unknown, "unknown"),
    ]

    var word: String { Self.words.first { $0.status == self }?.word ?? "unknown" }

    init?(word: String) {
        guard let status = Self.words.first(where: { $0.word == word })?.status else { return nil }
        self = status
    }
}

extension Fence {
    /// Reads what `description` writes.
    init?(_ text: String) {
        guard let dot = text.firstIndex(of: "."), let viewEpoch = UInt64(text[..<dot]),
            let rosterVersion = UInt64(text[text.index(after: dot)...])
        else { return nil }
        self.init(viewEpoch: viewEpoch, rosterVersion: rosterVersion)
    }
}

extension StoredEpoch {
    /// From the epoch table: epoch → `first-last`, or `first-` while it is open.
    init?(epoch: String, range: String) {
        guard let dash = range.firstIndex(of: "-"), let epoch = UInt64(epoch), let first = UInt64(range[..<dash]) else { return nil }
        self.init(epoch: epoch, first: first, last: UInt64(range[range.index(after: dash)...]))
    }
}

/// Outcomes of messages that stood in a row in their batch, as append.lua tells them.
enum AppendedRow: Hashable {
    /// At the position and those after it.
    case appended(first: Position, count: Int)
    case duplicate(Position, at: WallMilliseconds)
    case keysFull

    init?(_ text: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "appended" where words.count == 3:
            guard let first = Position(words[1]), let count = Int(words[2]), count > 0 else { return nil }
            self = .appended(first: first, count: count)
        case "duplicate" where words.count == 3:
            guard let position = Position(words[1]), let at = WallMilliseconds(words[2]) else { return nil }
            self = .duplicate(position, at: at)
        case "keysFull" where words.count == 1: self = .keysFull
        default: return nil
        }
    }
}
