import DequeModule
import MeshCore
import NIOCore

/// The log of one room in memory: what the scripts for logs do, rule for rule.
struct EmbeddedLog {
    private struct Key: Hashable {
        var user: String
        var key: String
    }

    private struct Remembered {
        var position: Position
        var at: WallMilliseconds
    }

    private(set) var head: Position
    private(set) var epochs: [StoredEpoch] = []
    private(set) var deletedUpTo: Position?
    private var fence: Fence
    private var incarnation: String
    private var run: UInt64
    private var epoch: UInt64
    private var seq: UInt64
    private var lastAt: WallMilliseconds = 0
    /// Since it was opened.
    private var lastBatch: String?
    private var kept = KeptMessages()
    private var keys: [Key: Remembered] = [:]
    /// Oldest first.
    private var expiry: Deque<(due: WallMilliseconds, key: Key)> = []
    /// The whole table is forgotten one window after the last append.
    private var keysExpireAt: WallMilliseconds = 0

    /// The first opening.
    init(_ request: OpenLog, run: UInt64) {
        fence = request.fence
        incarnation = request.incarnation
        self.run = run
        head = request.knownHead
        seq = head.seq
        epoch = request.epoch
        if head > .zero { epoch = max(epoch, head.epoch + 1) }
        epochs = [StoredEpoch(epoch: epoch, first: seq + 1, last: nil)]
    }

    var opened: OpenedLog { OpenedLog(epoch: epoch, head: head, lastAt: lastAt) }

    mutating func reopen(_ request: OpenLog, run: UInt64) throws(StoreError) {
        guard fence <= request.fence else { throw .fenced(fence) }
        let isOtherStore = incarnation != request.incarnation || self.run != run
        let held = epoch
        let lastOfHeld = seq
        epoch = max(epoch, request.epoch, request.knownHead.epoch)
        if isOtherStore, epoch == held { epoch += 1 }
        seq = max(seq, request.knownHead.seq)
        if request.knownHead > head {
            head = request.knownHead
            epoch = max(epoch, head.epoch + 1)
        }
        fence = request.fence
        incarnation = request.incarnation
        self.run = run
        lastBatch = nil
        if epoch != held { beginEpoch(lastOfHeld: lastOfHeld) }
    }

    private mutating func beginEpoch(lastOfHeld: UInt64) {
        if let open = epochs.indices.last { epochs[open].last = lastOfHeld }
        epochs.append(StoredEpoch(epoch: epoch, first: seq + 1, last: nil))
        if epochs.count > StoredEpoch.keptMax { epochs.removeFirst() }
    }

    mutating func append(_ batch: AppendBatch, run: UInt64, now: WallMilliseconds) throws(StoreError) -> [AppendOutcome] {
        guard self.run == run else { throw .notOpen }
        guard fence == batch.fence else { throw .fenced(fence) }
        if let before = batch.behind, before != lastBatch { throw .outOfOrder }
        lastBatch = batch.name
        forgetExpired(now: now, most: 64 + 2 * batch.messages.count)
        let due = now + WallMilliseconds(batch.retention.dedupWindow.milliseconds)
        kept.expire(now: now)
        let head = head
        let outcomes = batch.messages.map { append($0, due: due, keysMax: batch.retention.keysMax) }
        guard self.head != head else { return outcomes }
        kept.trimAppended(batch.retention, now: now, most: 64 + 2 * batch.messages.count)
        kept.expiresAt = batch.retention.ageMax.map { now + WallMilliseconds($0.milliseconds) }
        return outcomes
    }

    mutating func trim(_ retention: Retention, most: Int, now: WallMilliseconds) -> Bool {
        kept.expire(now: now)
        return kept.trim(retention, now: now, most: most)
    }

    /// Everything goes but the numbers.
    mutating func delete() {
        kept = KeptMessages()
        keys.removeAll()
        expiry.removeAll()
        deletedUpTo = head
        epoch += 1
        beginEpoch(lastOfHeld: seq)
    }

    private mutating func append(_ message: AppendBatch.Entry, due: WallMilliseconds, keysMax: Int) -> AppendOutcome {
        let key = Key(user: message.user, key: message.key)
        if let first = keys[key] { return .duplicate(first.position, at: first.at) }
        guard keys.count < keysMax else { return .keysFull }
        seq += 1
        head = Position(epoch: epoch, seq: seq)
        lastAt = max(lastAt, message.at)
        // A copy, so that a small message does not keep a whole receive buffer alive.
        kept.append(StoredMessage(position: head, body: ByteBuffer(bytes: message.body.readableBytesView)), at: lastAt)
        keys[key] = Remembered(position: head, at: lastAt)
        expiry.append((due, key))
        keysExpireAt = due
        return .appended(head)
    }

    private mutating func forgetExpired(now: WallMilliseconds, most: Int) {
        if keysExpireAt <= now {
            keys.removeAll()
            expiry.removeAll()
        }
        for _ in 0..<most {
            guard let oldest = expiry.first, oldest.due <= now else { return }
            expiry.removeFirst()
            keys[oldest.key] = nil
        }
    }

    func read(after: Position?, before: Position?, limit: Int, newest: Bool, now: WallMilliseconds) -> [StoredMessage] {
        kept.isExpired(now: now) ? [] : kept.read(after: after, before: before, limit: limit, newest: newest)
    }
}
