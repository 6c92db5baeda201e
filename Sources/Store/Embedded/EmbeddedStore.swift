import MeshCore
import NIOCore

/// A region's store in this process's memory, for quick tries and tests: the same answers as Redis, gone with the process.
/// One per event loop over shared `EmbeddedStoreData`.
public final class EmbeddedStore: RegionStore {
    let data: EmbeddedStoreData
    private let loop: any EventLoop
    private let onStateChange: (StoreState) -> Void
    public private(set) var state = StoreState.down("not started yet")
    public private(set) var figures = StoreFigures()

    /// Made, started and called on `loop`.
    public init(data: EmbeddedStoreData, on loop: any EventLoop, onStateChange: @escaping (StoreState) -> Void) {
        self.data = data
        self.loop = loop
        self.onStateChange = onStateChange
    }

    public func start() {
        // Not at once, so that owners meet the same order of events as with a store that connects.
        loop.assumeIsolated().execute {
            guard self.state == .down("not started yet") else { return }
            self.state = .up
            self.onStateChange(.up)
        }
    }

    public func close() -> EventLoopFuture<Void> {
        state = .down("closed")
        return loop.makeSucceededVoidFuture()
    }

    /// Answers in a later turn of the loop, never inside the call: as with Redis, an owner is not called back while it is still changing
    /// the state from which it asked.
    func answer<Answer: Sendable>(
        _ body: (inout EmbeddedTables) throws(StoreError) -> Answer
    ) -> EventLoopFuture<Answer> {
        figures.commands += 1
        let result: Result<Answer, any Error>
        do {
            if case .down(let reason) = state { throw StoreError.unavailable(reason) }
            result = .success(try data.withTables(body))
        } catch {
            figures.failures += 1
            result = .failure(error)
        }
        let promise = loop.makePromise(of: Answer.self)
        loop.execute { promise.completeWith(result) }
        return promise.futureResult
    }

    // MARK: Identity

    public func attach(freshID: String, knownEpoch: UInt64) -> EventLoopFuture<StoreIdentity> {
        answer { tables throws(StoreError) in
            try StoreNumber.check(knownEpoch, most: StoreNumber.most - 1)
            return tables.attach(freshID: freshID, knownEpoch: knownEpoch)
        }
    }

    public func nextBoot(of node: NodeID, wallClock: WallMilliseconds) -> EventLoopFuture<Boot> {
        answer { $0.nextBoot(of: node, least: wallClock) }
    }

    // MARK: Roster and node leases

    public func roster() -> EventLoopFuture<StoredRoster?> { answer { $0.roster } }

    public func changeRoster(expected: UInt64, to proposed: StoredRoster) -> EventLoopFuture<StoredRoster> {
        answer { $0.changeRoster(expected: expected, to: proposed) }
    }

    public func renewLease(of owner: NodeBoot, ttl: TimeSpan) -> EventLoopFuture<Void> {
        answer { $0.renewLease(of: owner, now: data.clock(), ttl: ttl) }
    }

    public func dropLease(of owner: NodeBoot) -> EventLoopFuture<Void> { answer { $0.dropLease(of: owner) } }

    public func lease(of node: NodeID) -> EventLoopFuture<Boot?> { answer { $0.lease(of: node, now: data.clock()) } }

    // MARK: The log of a room

    public func open(_ room: String, _ request: OpenLog) -> EventLoopFuture<OpenedLog> {
        answer { tables throws(StoreError) in try tables.open(room, request) }
    }

    public func append(_ room: String, _ request: AppendBatch) -> EventLoopFuture<[AppendOutcome]> {
        answer { tables throws(StoreError) in try tables.append(room, request, now: data.clock()) }
    }

    public func read(_ room: String, after: Position?, before: Position?, limit: Int, newest: Bool) -> EventLoopFuture<[StoredMessage]> {
        answer { $0.logs[room]?.read(after: after, before: before, limit: limit, newest: newest, now: data.clock()) ?? [] }
    }

    public func trim(_ room: String, _ retention: Retention, most: Int) -> EventLoopFuture<Bool> {
        answer { $0.logs[room]?.trim(retention, most: most, now: data.clock()) ?? true }
    }

    public func head(of room: String) -> EventLoopFuture<Position?> { answer { $0.logs[room]?.head } }

    public func epochs(of room: String) -> EventLoopFuture<[StoredEpoch]> { answer { $0.logs[room]?.epochs ?? [] } }

    // MARK: Deletion

    public func deleteRoom(_ room: String) -> EventLoopFuture<Position?> { answer { $0.deleteRoom(room) } }

    public func deletedUpTo(of room: String) -> EventLoopFuture<Position?> { answer { $0.logs[room]?.deletedUpTo } }

    public func deleteUser(_ user: String) -> EventLoopFuture<Position?> { answer { $0.deleteUser(user) } }

    public func deleteReceipts(of room: String, user: String) -> EventLoopFuture<Void> {
        answer { $0.deleteReceipts(of: room, user: user) }
    }

    public func noteRoom(_ room: String, of user: String, most: Int) -> EventLoopFuture<Bool> {
        answer { $0.noteRoom(room, of: user, most: most) }
    }

    public func rooms(of user: String, after: String, limit: Int) -> EventLoopFuture<[String]> {
        answer { $0.rooms(of: user, after: after, limit: limit) }
    }

    // MARK: Presence and typing

    public func mirrorMembers(of room: String, removed: [MemberKey], upserted: [StoredMember]) -> EventLoopFuture<Void> {
        answer { $0.changeMembers(of: room, removed: removed, upserted: upserted) }
    }

    public func replaceMembers(of room: String, with members: [StoredMember]) -> EventLoopFuture<Void> {
        answer {
            $0.members[room] = nil
            $0.memberCounts[room] = nil
            $0.changeMembers(of: room, removed: [], upserted: members)
        }
    }

    public func replaceMembers(of room: String, withCounts counts: [NodeBoot: Int]) -> EventLoopFuture<Void> {
        answer {
            $0.members[room] = nil
            $0.memberCounts[room] = counts.isEmpty ? nil : counts
        }
    }

    public func memberCounts(of room: String) -> EventLoopFuture<[NodeBoot: Int]> {
        answer { $0.memberCounts[room] ?? [:] }
    }

    public func members(of room: String) -> EventLoopFuture<[StoredMember]> {
        answer { tables in tables.members[room].map { Array($0.values) } ?? [] }
    }

    public func mirrorTyping(in room: String, user: String, expiresAt: WallMilliseconds?) -> EventLoopFuture<Void> {
        answer { $0.changeTyping(in: room, user: user, expiresAt: expiresAt, now: data.clock()) }
    }

    public func typing(in room: String) -> EventLoopFuture<[String: WallMilliseconds]> {
        answer { $0.typing(in: room, now: data.clock()) }
    }

    public func setLastSeen(of user: String, at: WallMilliseconds) -> EventLoopFuture<Void> {
        answer { $0.lastSeen[user] = max(at, $0.lastSeen[user] ?? at) }
    }

    public func lastSeen(of user: String) -> EventLoopFuture<WallMilliseconds?> { answer { $0.lastSeen[user] } }

    // MARK: Receipts

    public func receipts(of room: String) -> EventLoopFuture<[Receipt]> {
        answer { tables in (tables.receipts[room] ?? [:]).map { Receipt($0.key, $0.value) } }
    }

    public func receipts(of room: String, user: String) -> EventLoopFuture<ReceiptPositions> {
        answer { $0.receipts(of: room, user: user) }
    }

    public func mergeReceipts(of room: String, _ receipts: [Receipt]) -> EventLoopFuture<Void> {
        answer { $0.mergeReceipts(of: room, receipts) }
    }
}
