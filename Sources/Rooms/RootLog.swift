import DequeModule
import MeshCore

/// How the root of a room orders its durable publishes: what arrives while an append is in flight goes into the next batch, and an append
/// whose outcome is unknown is repeated by key before anything later.
///
/// A batch that is full does not wait for the one before: the store works on one while the answer to the other is announced. It names the
/// one before, so that the store refuses it if that has failed.
///
/// Legal moves: closed → opening → open ⇄ appending; any → closed when the fence or the store's incarnation changed.
public struct RootLog<Entry> {
    public enum State: Hashable, Sendable { case closed, opening, open, appending }

    public enum Action {
        case open(knownHead: Position)
        /// - Parameter behind: the attempt of the batch before, whose outcome is not known yet.
        case append([Entry], behind: UInt64?)
    }

    private struct Batch {
        var entries: [Entry]
        /// The try whose answer counts, nil if it has to be sent (again).
        var attempt: UInt64?
    }

    public private(set) var state: State = .closed
    /// The highest position handed out, as far as this root knows. `.zero` while nothing is known.
    public private(set) var head: Position = .zero
    /// Of the last message that was stamped.
    public private(set) var lastAt: WallMilliseconds = 0
    private var waiting: Deque<(entry: Entry, bytes: Int)> = []
    private var waitingBytes = 0
    /// Oldest first.
    private var batches: Deque<Batch> = []
    private var waitingSince: Instant?
    /// The tries of one batch are numbered, so that an answer to an older one is not taken for the newer.
    private var attempt: UInt64 = 0
    private let batchMax: Int
    private let batchBytesMax: Int
    private let batchesMax: Int

    /// - Parameters:
    ///   - batchMax: entries. A batch ends at either bound; a single entry above the second one goes alone.
    ///   - batchesMax: in flight at once. The store has to answer them in the order in which it was asked.
    public init(batchMax: Int = 256, batchBytesMax: Int = 1 << 20, batchesMax: Int) {
        self.batchMax = batchMax
        self.batchBytesMax = batchBytesMax
        self.batchesMax = batchesMax
    }

    public var isIdle: Bool { waiting.isEmpty && batches.isEmpty }
    public var queued: Int { batches.reduce(waiting.count) { $0 + $1.entries.count } }
    public var currentAttempt: UInt64 { attempt }

    public mutating func enqueue(_ entry: Entry, bytes: Int, now: Instant) {
        if isIdle { waitingSince = now }
        waiting.append((entry, bytes))
        waitingBytes += bytes
    }

    /// What to do next, if anything. Call after every event.
    public mutating func next() -> Action? {
        switch state {
        case .closed:
            guard !isIdle else { return nil }
            return startOpening()
        case .open, .appending:
            return append()
        case .opening:
            return nil
        }
    }

    private mutating func append() -> Action? {
        if batches.last?.attempt != nil || batches.isEmpty {
            guard mayTakeBatch else { return nil }
            batches.append(Batch(entries: takeBatch()))
        }
        guard let next = batches.firstIndex(where: { $0.attempt == nil }) else { return nil }
        state = .appending
        attempt += 1
        batches[next].attempt = attempt
        return .append(batches[next].entries, behind: next > 0 ? batches[next - 1].attempt : nil)
    }

    /// One that is not full waits for the one before, and becomes larger meanwhile.
    private var mayTakeBatch: Bool {
        if batches.isEmpty { return !waiting.isEmpty }
        return batches.count < batchesMax && (waiting.count >= batchMax || waitingBytes > batchBytesMax)
    }

    private mutating func takeBatch() -> [Entry] {
        var batch: [Entry] = []
        var bytes = 0
        while batch.count < batchMax, let next = waiting.first, batch.isEmpty || bytes + next.bytes <= batchBytesMax {
            waiting.removeFirst()
            batch.append(next.entry)
            bytes += next.bytes
        }
        waitingBytes -= bytes
        return batch
    }

    /// Somebody needs the head although nothing is to be appended.
    public mutating func needHead() -> Action? { state == .closed ? startOpening() : nil }

    private mutating func startOpening() -> Action {
        state = .opening
        attempt += 1
        return .open(knownHead: head)
    }

    /// False for an answer that came too late.
    @discardableResult
    public mutating func opened(head stored: Position, lastAt storedAt: WallMilliseconds, attempt answered: UInt64) -> Bool {
        guard state == .opening, answered == attempt else { return false }
        head = max(head, stored)
        lastAt = max(lastAt, storedAt)
        state = .open
        return true
    }

    /// The oldest batch in flight was appended; its entries, in order, are returned to be announced. Nil for an answer that came too late.
    public mutating func appended(newHead: Position, now: Instant, attempt answered: UInt64) -> [Entry]? {
        guard state == .appending, batches.first?.attempt == answered, let done = batches.popFirst() else { return nil }
        head = max(head, newHead)
        if batches.isEmpty { state = .open }
        waitingSince = isIdle ? nil : now
        return done.entries
    }

    /// The try failed or its outcome is unknown: opened anew and tried again on the next `next`, with whatever was sent behind it. False for an
    /// answer that came too late.
    @discardableResult
    public mutating func failed(attempt answered: UInt64) -> Bool {
        if state == .opening, answered == attempt {
            close()
            return true
        }
        guard let index = batches.firstIndex(where: { $0.attempt == answered }) else { return false }
        // Answers come in order: one that is not the first's is a refusal without the store, and says nothing of those before it.
        if index == 0 { close() } else { forgetAttempts(from: index) }
        return true
    }

    /// The fence or the store's incarnation changed: the log has to be opened anew before the next append.
    public mutating func invalidate() {
        attempt += 1
        close()
    }

    private mutating func close() {
        state = .closed
        forgetAttempts(from: 0)
    }

    private mutating func forgetAttempts(from first: Int) {
        for index in first..<batches.count { batches[index].attempt = nil }
    }

    /// Gives everything up that has waited since before `bound` ago, in order: their outcome is unknown to the publishers.
    public mutating func giveUp(now: Instant, after bound: TimeSpan) -> [Entry] {
        guard let since = waitingSince, now - since >= bound else { return [] }
        return giveUpAll()
    }

    public mutating func giveUpAll() -> [Entry] {
        let lost = batches.flatMap(\.entries) + waiting.map(\.entry)
        batches.removeAll()
        waiting.removeAll()
        waitingBytes = 0
        waitingSince = nil
        if state == .appending { state = .closed }
        attempt += 1
        if state == .opening { state = .closed }
        return lost
    }

    /// Time for the next message: never before the last one's.
    public mutating func stamp(_ wallClock: WallMilliseconds) -> WallMilliseconds {
        lastAt = max(wallClock, lastAt)
        return lastAt
    }
}
