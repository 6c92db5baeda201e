import MeshCore
import NIOCore

/// The queues of notifications in memory: what the scripts push_*.lua do, rule for rule.
struct EmbeddedPushes: Sendable {
    private struct Queued {
        var due: WallMilliseconds
        var added: WallMilliseconds
        var claims = 0
        var body: ByteBuffer
    }

    private var marks: [String: (at: WallMilliseconds, after: Position)] = [:]
    private var queues: [String: [String: Queued]] = [:]
    private var devices: [String: [String: StoredPushDevice]] = [:]

    /// Where her notifications go.
    mutating func forget(_ user: String) { devices[user] = nil }

    // MARK: Notes

    mutating func mark(_ mark: PushMark, now: WallMilliseconds) {
        if marks[mark.user] == nil { marks[mark.user] = (now, mark.after) }
    }

    func overdueMarks(age: TimeSpan, limit: Int, now: WallMilliseconds) -> [PushMark] {
        let due = now - WallMilliseconds(age.milliseconds)
        let overdue = marks.filter { $0.value.at <= due }.sorted { ($0.value.at, $0.key) < ($1.value.at, $1.key) }
        return overdue.prefix(limit).map { PushMark(user: $0.key, after: $0.value.after) }
    }

    // MARK: Queues

    mutating func queue(_ batch: PushBatch, now: WallMilliseconds) -> Int {
        var refused = 0
        for service in batch.services {
            for entry in batch.entries where queues[service]?[entry.id] == nil {
                guard queues[service]?.count ?? 0 < batch.most else {
                    refused += 1
                    continue
                }
                queues[service, default: [:]][entry.id] = Queued(due: now, added: now, body: entry.body)
            }
        }
        if let mark = batch.settles, marks[mark.user]?.after == mark.after { marks[mark.user] = nil }
        return refused
    }

    mutating func claim(_ service: String, limit: Int, lease: TimeSpan, now: WallMilliseconds) -> [ClaimedPush] {
        let due = (queues[service] ?? [:]).filter { $0.value.due <= now }.sorted { ($0.value.due, $0.key) < ($1.value.due, $1.key) }
        return due.prefix(limit).map { id, queued in
            var queued = queued
            queued.claims += 1
            queued.due = now + WallMilliseconds(lease.milliseconds)
            queues[service]?[id] = queued
            let age = TimeSpan.milliseconds(Int(max(0, now - queued.added)))
            return ClaimedPush(id: id, claim: queued.claims, age: age, body: queued.body)
        }
    }

    mutating func settle(_ service: String, _ settled: [SettledPush], now: WallMilliseconds) {
        for push in settled {
            switch push.outcome {
            case .over: queues[service]?[push.id] = nil
            case .later(let delay, let body):
                guard queues[service]?[push.id]?.claims == push.claim else { continue }
                queues[service]?[push.id]?.due = now + WallMilliseconds(max(0, delay.milliseconds))
                if let body { queues[service]?[push.id]?.body = body }
            }
        }
    }

    mutating func forgetQueued(for user: String, services: [String]) {
        guard !services.isEmpty else { return }
        marks[user] = nil
        for service in services {
            queues[service] = queues[service]?.filter { id, _ in !Self.isID(id, of: user) }
        }
    }

    /// `<user>/<epoch>-<seq>/<reason>`. A user's name may hold a slash, so the whole of it is compared.
    private static func isID(_ id: String, of user: String) -> Bool {
        let parts = id.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count > 2 && parts.dropLast(2).joined(separator: "/") == user && Position(parts[parts.count - 2]) != nil
    }

    func state(_ service: String, now: WallMilliseconds) -> PushQueueState {
        let queue = queues[service] ?? [:]
        let oldest = queue.values.map(\.added).min() ?? now
        return PushQueueState(count: queue.count, oldestAge: .milliseconds(Int(max(0, now - oldest))))
    }

    // MARK: Devices

    mutating func setDevice(_ device: String, of user: String, to value: StoredPushDevice, most: Int) -> Bool {
        let known = devices[user] ?? [:]
        guard known[device] != nil || known.count < most else { return false }
        devices[user, default: [:]][device] = value
        return true
    }

    mutating func removeDevice(_ device: String, of user: String, token: String?) {
        guard token == nil || devices[user]?[device]?.token == token else { return }
        devices[user]?[device] = nil
        if devices[user]?.isEmpty == true { devices[user] = nil }
    }

    func devices(of user: String) -> [String: StoredPushDevice] { devices[user] ?? [:] }
}
