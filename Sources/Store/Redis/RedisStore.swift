import Logging
import MeshCore
import NIOCore
import TLS

/// A region's store in Redis, over one pipelined connection that belongs to one event loop.
///
/// Whatever must be atomic is a script; keys are those of `StoreKeys`. The connection is made anew by itself, with back-off; while
/// there is none, every call fails at once.
public final class RedisStore: RegionStore {
    let connection: RedisConnection
    private let clock: @Sendable () -> WallMilliseconds

    /// Made, started and called on `loop`.
    ///
    /// - Parameters:
    ///   - encryption: for a server that speaks TLS; its certificate must be for the host of the address.
    ///   - onStateChange: called on `loop` when `state` went up or down, except by `close`.
    public init(
        address: RedisAddress, on loop: any EventLoop, encryption: TLSCredentials? = nil, limits: StoreLimits = .init(), logger: Logger,
        clock: @escaping @Sendable () -> WallMilliseconds = WallClock.now, onStateChange: @escaping (StoreState) -> Void
    ) {
        connection = RedisConnection(
            address: address, on: loop, encryption: encryption, limits: limits, logger: logger, onStateChange: onStateChange)
        self.clock = clock
    }

    public var state: StoreState { connection.state }
    public var figures: StoreFigures { connection.figures }
    public func start() { connection.start() }
    public func close() -> EventLoopFuture<Void> { connection.close() }

    // MARK: Identity

    public func attach(freshID: String, knownEpoch: UInt64) -> EventLoopFuture<StoreIdentity> {
        do {
            try StoreNumber.check(knownEpoch, most: StoreNumber.most - 1)
        } catch {
            return failed(error)
        }
        return evaluate(.attach, on: StoreKeys.identity, as: RedisReplyParsing.identity) { command in
            command.append(freshID)
            command.append(knownEpoch)
            command.append(connection.runID)
        }
    }

    public func nextBoot(of node: NodeID, wallClock: WallMilliseconds) -> EventLoopFuture<Boot> {
        evaluate(.boot, on: StoreKeys.boots, as: RedisReplyParsing.boot) { command in
            command.append(node.description)
            command.append(max(0, wallClock))
        }
    }

    // MARK: Roster and node leases

    public func roster() -> EventLoopFuture<StoredRoster?> {
        answer(RedisCommand("HMGET", StoreKeys.roster, "version", "nodes"), as: RedisReplyParsing.roster)
    }

    public func changeRoster(expected: UInt64, to proposed: StoredRoster) -> EventLoopFuture<StoredRoster> {
        do {
            let nodes = try StoredJSON.encode(proposed.nodes.map(\.description))
            return evaluate(.roster, on: StoreKeys.roster, as: RedisReplyParsing.standingRoster) { command in
                command.append(expected)
                command.append(proposed.version)
                command.append(nodes)
            }
        } catch {
            return failed(error)
        }
    }

    public func renewLease(of owner: NodeBoot, ttl: TimeSpan) -> EventLoopFuture<Void> {
        evaluate(.lease, on: StoreKeys.lease(owner.node), as: RedisReplyParsing.nothing) { command in
            command.append(owner.boot)
            command.append(max(1, ttl.milliseconds))
        }
    }

    public func dropLease(of owner: NodeBoot) -> EventLoopFuture<Void> {
        evaluate(.dropLease, on: StoreKeys.lease(owner.node), as: RedisReplyParsing.nothing) { $0.append(owner.boot) }
    }

    public func lease(of node: NodeID) -> EventLoopFuture<Boot?> {
        answer(RedisCommand("GET", StoreKeys.lease(node)), as: RedisReplyParsing.optionalBoot)
    }

    // MARK: The log of a room

    public func open(_ room: String, _ request: OpenLog) -> EventLoopFuture<OpenedLog> {
        do {
            try StoreNumber.check(request)
        } catch {
            return failed(error)
        }
        return evaluate(.open, on: [.meta, .log, .epochs], of: room, as: RedisReplyParsing.opened) { command in
            command.append(request.fence.description)
            command.append(request.incarnation)
            command.append(connection.runID)
            command.append(request.epoch)
            command.append(request.knownHead.description)
            command.append(StoredEpoch.keptMax)
        }
    }

    public func append(_ room: String, _ request: AppendBatch) -> EventLoopFuture<[AppendOutcome]> {
        let count = request.messages.count
        return evaluate(.append, on: [.meta, .log, .keys, .expiry], of: room) {
            try RedisReplyParsing.appended($0, count)
        } arguments: { command in
            command.append(request.fence.description)
            command.append(connection.runID)
            command.append(kept: request.retention)
            command.append(request.retention.dedupWindow.milliseconds)
            command.append(request.retention.keysMax)
            command.append(request.name)
            command.append(request.behind ?? "")
            for message in request.messages {
                command.append(user: message.user, key: message.key)
                command.append(max(0, message.at))
                command.append(message.body)
            }
        }
    }

    public func trim(_ room: String, _ retention: Retention, most: Int) -> EventLoopFuture<Bool> {
        evaluate(.trim, on: [.meta, .log], of: room, as: RedisReplyParsing.flag) { command in
            command.append(kept: retention)
            command.append(most)
        }
    }

    public func read(_ room: String, after: Position?, before: Position?, limit: Int, newest: Bool) -> EventLoopFuture<[StoredMessage]> {
        guard limit > 0, after?.isLastOfAll != true, before != .zero else { return connection.loop.makeSucceededFuture([]) }
        let lower = after.map { "(\($0)" } ?? "-"
        let upper = before.map { "(\($0)" } ?? "+"
        var command = RedisCommand(newest ? "XREVRANGE" : "XRANGE", StoreKeys.room(.log, room))
        for bound in newest ? [upper, lower] : [lower, upper] { command.append(bound) }
        command.append("COUNT")
        command.append(limit)
        return answer(command, as: newest ? RedisReplyParsing.newestMessages : RedisReplyParsing.messages)
    }

    public func head(of room: String) -> EventLoopFuture<Position?> {
        answer(RedisCommand("HGET", StoreKeys.room(.meta, room), "head"), as: RedisReplyParsing.optionalPosition)
    }

    public func epochs(of room: String) -> EventLoopFuture<[StoredEpoch]> {
        answer(RedisCommand("HGETALL", StoreKeys.room(.epochs, room)), as: RedisReplyParsing.epochs)
    }
}

// MARK: - Deletion

extension RedisStore {
    public func deleteRoom(_ room: String) -> EventLoopFuture<Position?> { delete(room, StoreKeys.RoomKind.ofMessages) }

    public func deletedUpTo(of room: String) -> EventLoopFuture<Position?> {
        answer(RedisCommand("HGET", StoreKeys.room(.meta, room), "deleted"), as: RedisReplyParsing.optionalPosition)
    }

    public func deleteUser(_ user: String) -> EventLoopFuture<Position?> {
        delete(NameRules.inbox(of: user), StoreKeys.RoomKind.ofMessages + StoreKeys.RoomKind.ofUser)
    }

    private func delete(_ room: String, _ kinds: [StoreKeys.RoomKind]) -> EventLoopFuture<Position?> {
        let keys = [.meta, .log, .epochs] + kinds.filter { $0 != .log }
        return evaluate(.deleteRoom, on: keys, of: room, as: RedisReplyParsing.optionalPosition) { $0.append(StoredEpoch.keptMax) }
    }

    public func deleteReceipts(of room: String, user: String) -> EventLoopFuture<Void> {
        var command = RedisCommand("HDEL", StoreKeys.room(.receipts, room))
        for isHidden in [false, true] { command.append(ReceiptOwner(user: user, isHidden: isHidden).field) }
        return answer(command, as: RedisReplyParsing.nothing)
    }

    public func noteRoom(_ room: String, of user: String, most: Int) -> EventLoopFuture<Bool> {
        evaluate(.noteRoom, on: [.rooms], of: NameRules.inbox(of: user), as: RedisReplyParsing.flag) { command in
            command.append(room)
            command.append(most)
        }
    }

    public func rooms(of user: String, after: String, limit: Int) -> EventLoopFuture<[String]> {
        var command = RedisCommand("ZRANGEBYLEX", StoreKeys.room(.rooms, NameRules.inbox(of: user)), "(\(after)", "+", "LIMIT", "0")
        command.append(max(0, limit))
        return answer(command, as: RedisReplyParsing.texts)
    }
}

// MARK: - Presence and typing

extension RedisStore {
    public func mirrorMembers(of room: String, removed: [MemberKey], upserted: [StoredMember]) -> EventLoopFuture<Void> {
        writeMembers(of: room, "change", removed: removed, upserted: upserted)
    }

    public func replaceMembers(of room: String, with members: [StoredMember]) -> EventLoopFuture<Void> {
        writeMembers(of: room, "replace", removed: [], upserted: members)
    }

    private func writeMembers(
        of room: String, _ mode: String, removed: [MemberKey], upserted: [StoredMember]
    ) -> EventLoopFuture<Void> {
        do {
            let values = try upserted.map { (key: $0.key.field, value: try StoredJSON.encode(MemberRecord($0))) }
            return evaluate(.members, on: [.members, .counts], of: room, as: RedisReplyParsing.nothing) { command in
                command.append(mode)
                command.append(removed.count)
                for key in removed { command.append(key.field) }
                for (key, value) in values {
                    command.append(key)
                    command.append(value)
                }
            }
        } catch {
            return failed(error)
        }
    }

    public func members(of room: String) -> EventLoopFuture<[StoredMember]> {
        answer(RedisCommand("HGETALL", StoreKeys.room(.members, room)), as: RedisReplyParsing.members)
    }

    public func replaceMembers(of room: String, withCounts counts: [NodeBoot: Int]) -> EventLoopFuture<Void> {
        evaluate(.counts, on: [.members, .counts], of: room, as: RedisReplyParsing.nothing) { command in
            for (owner, count) in counts {
                command.append(owner.description)
                command.append(count)
            }
        }
    }

    public func memberCounts(of room: String) -> EventLoopFuture<[NodeBoot: Int]> {
        answer(RedisCommand("HGETALL", StoreKeys.room(.counts, room)), as: RedisReplyParsing.memberCounts)
    }

    public func mirrorTyping(in room: String, user: String, expiresAt: WallMilliseconds?) -> EventLoopFuture<Void> {
        evaluate(.typing, on: [.typing], of: room, as: RedisReplyParsing.nothing) { command in
            command.append(user)
            command.append(expiresAt.map(String.init) ?? "")
        }
    }

    public func typing(in room: String) -> EventLoopFuture<[String: WallMilliseconds]> {
        let command = RedisCommand("ZRANGEBYSCORE", StoreKeys.room(.typing, room), "(\(clock())", "+inf", "WITHSCORES")
        return answer(command, as: RedisReplyParsing.typing)
    }

    public func setLastSeen(of user: String, at: WallMilliseconds) -> EventLoopFuture<Void> {
        evaluate(.seen, on: [.seen], of: NameRules.inbox(of: user), as: RedisReplyParsing.nothing) { $0.append(at) }
    }

    public func lastSeen(of user: String) -> EventLoopFuture<WallMilliseconds?> {
        answer(RedisCommand("GET", StoreKeys.room(.seen, NameRules.inbox(of: user))), as: RedisReplyParsing.optionalMilliseconds)
    }
}

// MARK: - Receipts

extension RedisStore {
    public func receipts(of room: String) -> EventLoopFuture<[Receipt]> {
        answer(RedisCommand("HGETALL", StoreKeys.room(.receipts, room)), as: RedisReplyParsing.receipts)
    }

    public func receipts(of room: String, user: String) -> EventLoopFuture<ReceiptPositions> {
        var command = RedisCommand("HMGET", StoreKeys.room(.receipts, room))
        for isHidden in [false, true] { command.append(ReceiptOwner(user: user, isHidden: isHidden).field) }
        return answer(command, as: RedisReplyParsing.receiptPositions)
    }

    public func mergeReceipts(of room: String, _ receipts: [Receipt]) -> EventLoopFuture<Void> {
        evaluate(.receipts, on: [.receipts], of: room, as: RedisReplyParsing.nothing) { command in
            for receipt in receipts {
                command.append(receipt.owner.field)
                command.append(receipt.positions.description)
            }
        }
    }
}

// MARK: - Commands

extension RedisStore {
    func answer<Answer: Sendable>(
        _ command: RedisCommand, as parse: @escaping @Sendable (RedisReply) throws -> Answer
    ) -> EventLoopFuture<Answer> {
        connection.send(command).flatMapThrowing { try parse(try $0.checked()) }
    }

    func evaluate<Answer: Sendable>(
        _ script: RedisScript, on kinds: [StoreKeys.RoomKind], of room: String, as parse: @escaping @Sendable (RedisReply) throws -> Answer,
        arguments: (inout RedisCommand) -> Void
    ) -> EventLoopFuture<Answer> {
        evaluate(script, keys: kinds.map { StoreKeys.room($0, room) }, as: parse, arguments: arguments)
    }

    func evaluate<Answer: Sendable>(
        _ script: RedisScript, on key: String, as parse: @escaping @Sendable (RedisReply) throws -> Answer,
        arguments: (inout RedisCommand) -> Void
    ) -> EventLoopFuture<Answer> {
        evaluate(script, keys: [key], as: parse, arguments: arguments)
    }

    func evaluate<Answer: Sendable>(
        _ script: RedisScript, keys: [String], as parse: @escaping @Sendable (RedisReply) throws -> Answer,
        arguments: (inout RedisCommand) -> Void
    ) -> EventLoopFuture<Answer> {
        var command = RedisCommand("EVALSHA", connection.digest(of: script), String(keys.count))
        for key in keys { command.append(key) }
        arguments(&command)
        return answer(command, as: parse)
    }

    func failed<Answer: Sendable>(_ error: any Error) -> EventLoopFuture<Answer> {
        let promise = connection.loop.makePromise(of: Answer.self)
        connection.loop.execute { promise.fail(error) }
        return promise.futureResult
    }
}

extension Position {
    /// Nothing comes after it; Redis refuses it as an exclusive lower bound.
    fileprivate var isLastOfAll: Bool { epoch == .max && seq == .max }
}
