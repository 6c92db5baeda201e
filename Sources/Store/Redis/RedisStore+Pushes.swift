import MeshCore
import NIOCore

extension RedisStore {
    public func markPush(_ mark: PushMark) -> EventLoopFuture<Void> {
        evaluate(.pushMark, keys: StoreKeys.pushMarks, as: RedisReplyParsing.nothing) { command in
            command.append(mark.user)
            command.append(mark.after.description)
        }
    }

    public func overduePushMarks(age: TimeSpan, limit: Int) -> EventLoopFuture<[PushMark]> {
        evaluate(.pushMarks, keys: StoreKeys.pushMarks, as: RedisReplyParsing.pushMarks) { command in
            command.append(age.milliseconds)
            command.append(limit)
        }
    }

    public func queuePushes(_ batch: PushBatch) -> EventLoopFuture<Int> {
        let keys = StoreKeys.pushMarks + batch.services.flatMap(StoreKeys.pushQueue)
        return evaluate(.pushQueue, keys: keys, as: RedisReplyParsing.count) { command in
            command.append(batch.most)
            command.append(batch.settles?.user ?? "")
            command.append(batch.settles?.after.description ?? "")
            for entry in batch.entries {
                command.append(entry.id)
                command.append(entry.body)
            }
        }
    }

    public func claimPushes(for service: String, limit: Int, lease: TimeSpan) -> EventLoopFuture<[ClaimedPush]> {
        evaluate(.pushClaim, keys: StoreKeys.pushQueue(service), as: RedisReplyParsing.claimedPushes) { command in
            command.append(limit)
            command.append(lease.milliseconds)
        }
    }

    public func settlePushes(for service: String, _ settled: [SettledPush]) -> EventLoopFuture<Void> {
        evaluate(.pushSettle, keys: StoreKeys.pushQueue(service), as: RedisReplyParsing.nothing) { command in
            for push in settled {
                command.append(push.id)
                command.append(push.claim)
                switch push.outcome {
                case .over:
                    command.append("")
                    command.append("")
                case .later(let delay, let body):
                    command.append(max(0, delay.milliseconds))
                    command.append(body ?? ByteBuffer())
                }
            }
        }
    }

    public func pushQueue(of service: String) -> EventLoopFuture<PushQueueState> {
        evaluate(.pushState, on: StoreKeys.pushQueue(service)[1], as: RedisReplyParsing.pushQueue) { _ in }
    }

    /// Notifications looked at in one command.
    private static let forgottenPage = 1_000

    public func forgetPushes(of user: String, services: [String]) -> EventLoopFuture<Void> {
        let forgotten = services.map { forgetPushes(of: user, service: $0, from: "0") }
        return EventLoopFuture.andAllSucceed(forgotten, on: connection.loop)
    }

    private func forgetPushes(of user: String, service: String, from place: String) -> EventLoopFuture<Void> {
        let keys = StoreKeys.pushMarks + StoreKeys.pushQueue(service)
        let next = evaluate(.pushForget, keys: keys, as: RedisReplyParsing.cursor) { command in
            command.append(user)
            command.append(place)
            command.append(Self.forgottenPage)
        }
        return next.assumeIsolated().flatMap { [self] next in
            next == "0" ? connection.loop.makeSucceededVoidFuture() : forgetPushes(of: user, service: service, from: next)
        }.nonisolated()
    }

    // MARK: Devices

    public func setPushDevice(
        _ device: String, of user: String, to value: StoredPushDevice, most: Int
    ) -> EventLoopFuture<Bool> {
        do {
            let json = try StoredJSON.encode(value)
            return evaluate(.pushDevice, on: [.push], of: NameRules.inbox(of: user), as: RedisReplyParsing.isOne) { command in
                command.append(device)
                command.append(json)
                command.append(most)
            }
        } catch {
            return failed(error)
        }
    }

    public func removePushDevice(_ device: String, of user: String, token: String?) -> EventLoopFuture<Void> {
        evaluate(.pushDevice, on: [.push], of: NameRules.inbox(of: user), as: RedisReplyParsing.nothing) { command in
            command.append(device)
            command.append("")
            command.append(token ?? "")
        }
    }

    public func pushDevices(of user: String) -> EventLoopFuture<[String: StoredPushDevice]> {
        let key = StoreKeys.room(.push, NameRules.inbox(of: user))
        return answer(RedisCommand("HGETALL", key), as: RedisReplyParsing.pushDevices)
    }
}

extension RedisReplyParsing {
    static func count(_ reply: RedisReply) throws -> Int {
        guard case .integer(let count) = reply else { throw reply.unexpected("a count") }
        return Int(count)
    }

    static func cursor(_ reply: RedisReply) throws -> String { try reply.text() }

    static func isOne(_ reply: RedisReply) throws -> Bool { try count(reply) == 1 }

    static func pushMarks(_ reply: RedisReply) throws -> [PushMark] {
        try rows(of: 2, reply).map { PushMark(user: try $0[0].text(), after: try $0[1].parsed { Position($0) }) }
    }

    static func claimedPushes(_ reply: RedisReply) throws -> [ClaimedPush] {
        try rows(of: 4, reply).map { fields in
            ClaimedPush(
                id: try fields[0].text(), claim: try fields[1].parsed { Int($0) }, age: .milliseconds(try fields[2].parsed { Int($0) }),
                body: try fields[3].bytes())
        }
    }

    static func pushQueue(_ reply: RedisReply) throws -> PushQueueState {
        guard let fields = try rows(of: 2, reply).first else { throw reply.unexpected("a queue's state") }
        return PushQueueState(count: try fields[0].parsed { Int($0) }, oldestAge: .milliseconds(try fields[1].parsed { Int($0) }))
    }

    static func pushDevices(_ reply: RedisReply) throws -> [String: StoredPushDevice] {
        var devices: [String: StoredPushDevice] = [:]
        for fields in try rows(of: 2, reply) {
            devices[try fields[0].text()] = try StoredJSON.decode(StoredPushDevice.self, from: try fields[1].bytes())
        }
        return devices
    }

    private static func rows(of width: Int, _ reply: RedisReply) throws -> [[RedisReply]] {
        let fields = try reply.array()
        guard fields.count.isMultiple(of: width) else { throw reply.unexpected("rows of \(width)") }
        return stride(from: 0, to: fields.count, by: width).map { Array(fields[$0..<($0 + width)]) }
    }
}
