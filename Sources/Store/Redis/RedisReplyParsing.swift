import MeshCore
import NIOCore

/// From the replies of commands and scripts to the answers of a store.
enum RedisReplyParsing {
    static func nothing(_ reply: RedisReply) throws {}

    static func identity(_ reply: RedisReply) throws -> StoreIdentity {
        let fields = try reply.array()
        guard fields.count == 2 else { throw reply.unexpected("an identity") }
        return StoreIdentity(incarnation: try fields[0].text(), epoch: try fields[1].number())
    }

    static func boot(_ reply: RedisReply) throws -> Boot { try reply.number() }

    /// `[version, nodes]`; nil when none is stored.
    static func roster(_ reply: RedisReply) throws -> StoredRoster? {
        let fields = try reply.array()
        guard fields.count == 2 else { throw reply.unexpected("a roster") }
        if fields[0] == .null { return nil }
        var nodes: [NodeID] = []
        for name in try StoredJSON.decode([String].self, from: try fields[1].bytes()) {
            guard let node = NodeID(name) else { throw reply.unexpected("names of nodes") }
            nodes.append(node)
        }
        return StoredRoster(version: try fields[0].number(), nodes: nodes)
    }

    static func standingRoster(_ reply: RedisReply) throws -> StoredRoster {
        guard let roster = try roster(reply) else { throw reply.unexpected("a roster") }
        return roster
    }

    static func optionalBoot(_ reply: RedisReply) throws -> Boot? { reply == .null ? nil : try reply.number() }

    static func opened(_ reply: RedisReply) throws -> OpenedLog {
        let fields = try accepted(reply)
        guard fields.count == 3 else { throw reply.unexpected("an opened log") }
        return OpenedLog(
            epoch: try fields[0].number(), head: try fields[1].parsed { Position($0) }, lastAt: try fields[2].milliseconds())
    }

    /// One outcome for each of `count` messages.
    static func appended(_ reply: RedisReply, _ count: Int) throws -> [AppendOutcome] {
        var outcomes: [AppendOutcome] = []
        outcomes.reserveCapacity(count)
        for field in try accepted(reply) {
            switch try field.parsed({ AppendedRow($0) }) {
            case .appended(let first, let row):
                guard row <= count - outcomes.count, first.seq <= .max - UInt64(row) else { throw reply.unexpected("\(count) outcomes") }
                for offset in 0..<UInt64(row) { outcomes.append(.appended(Position(epoch: first.epoch, seq: first.seq + offset))) }
            case .duplicate(let position, let at): outcomes.append(.duplicate(position, at: at))
            case .keysFull: outcomes.append(.keysFull)
            }
        }
        guard outcomes.count == count else { throw reply.unexpected("\(count) outcomes") }
        return outcomes
    }

    /// What follows "OK"; the refusals of open.lua and append.lua as errors.
    private static func accepted(_ reply: RedisReply) throws -> [RedisReply] {
        let fields = try reply.array()
        switch try fields.first?.text() {
        case "OK": return Array(fields.dropFirst())
        case "NOTOPEN": throw StoreError.notOpen
        case "OUTOFORDER": throw StoreError.outOfOrder
        case "FENCED" where fields.count == 2: throw StoreError.fenced(try fields[1].parsed { Fence($0) })
        default: throw reply.unexpected("OK or a refusal")
        }
    }

    /// Entries of the stream: `[id, [field, value, …, "body", body]]`.
    static func messages(_ reply: RedisReply) throws -> [StoredMessage] {
        var messages: [StoredMessage] = []
        for entry in try reply.array() {
            let parts = try entry.array()
            guard parts.count == 2, let body = try parts[1].array().last else { throw entry.unexpected("a message") }
            messages.append(StoredMessage(position: try parts[0].parsed { Position($0) }, body: try body.bytes()))
        }
        return messages
    }

    static func newestMessages(_ reply: RedisReply) throws -> [StoredMessage] { try messages(reply).reversed() }

    static func optionalPosition(_ reply: RedisReply) throws -> Position? {
        reply == .null ? nil : try reply.parsed { Position($0) }
    }

    static func epochs(_ reply: RedisReply) throws -> [StoredEpoch] {
        var epochs: [StoredEpoch] = []
        for (epoch, range) in try pairs(reply) {
            guard let row = StoredEpoch(epoch: try epoch.text(), range: try range.text()) else { throw reply.unexpected("epochs") }
            epochs.append(row)
        }
        return epochs.sorted { $0.epoch < $1.epoch }
    }

    static func members(_ reply: RedisReply) throws -> [StoredMember] {
        var members: [StoredMember] = []
        for (field, value) in try pairs(reply) {
            guard let key = MemberKey(field: try field.text()) else { throw field.unexpected("a member's field") }
            members.append(try StoredJSON.decode(MemberRecord.self, from: try value.bytes()).member(key))
        }
        return members
    }

    static func memberCounts(_ reply: RedisReply) throws -> [NodeBoot: Int] {
        var counts: [NodeBoot: Int] = [:]
        for (field, value) in try pairs(reply) {
            guard let owner = NodeBoot(try field.text()), let count = Int(try value.text()) else {
                throw field.unexpected("an owner's count")
            }
            counts[owner] = count
        }
        return counts
    }

    static func typing(_ reply: RedisReply) throws -> [String: WallMilliseconds] {
        var typing: [String: WallMilliseconds] = [:]
        for (user, expiresAt) in try pairs(reply) { typing[try user.text()] = try expiresAt.milliseconds() }
        return typing
    }

    static func optionalMilliseconds(_ reply: RedisReply) throws -> WallMilliseconds? {
        reply == .null ? nil : try reply.milliseconds()
    }

    /// 1 or 0.
    static func flag(_ reply: RedisReply) throws -> Bool {
        guard case .integer(let number) = reply, number == 0 || number == 1 else { throw reply.unexpected("1 or 0") }
        return number == 1
    }

    static func texts(_ reply: RedisReply) throws -> [String] { try reply.array().map { try $0.text() } }
    static func receipts(_ reply: RedisReply) throws -> [Receipt] {
        try pairs(reply).map { field, value in
            Receipt(ReceiptOwner(field: try field.text()), try value.parsed { ReceiptPositions($0) })
        }
    }

    /// Some fields of the hash, merged.
    static func receiptPositions(_ reply: RedisReply) throws -> ReceiptPositions {
        try reply.array().filter { $0 != .null }.reduce(.none) { $0.merged(with: try $1.parsed { ReceiptPositions($0) }) }
    }

    /// A flat list of keys and values, as RESP2 gives hashes and scores.
    private static func pairs(_ reply: RedisReply) throws -> [(RedisReply, RedisReply)] {
        let fields = try reply.array()
        guard fields.count.isMultiple(of: 2) else { throw reply.unexpected("pairs") }
        return stride(from: 0, to: fields.count, by: 2).map { (fields[$0], fields[$0 + 1]) }
    }
}
