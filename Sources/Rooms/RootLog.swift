import DequeModule
import MeshCore

/// How the root of a room orders its durable publishes: one append is in flight at a time, what arrives meanwhile goes into the
/// next batch, and an append whose outcome is unknown is repeated by key before anything later.
///
/// Legal moves: closed → opening → open ⇄ appending; any → closed when the fence or the store's incarnation changed.
public struct RootLog<Entry: Sendable>: Sendable {
    public enum State: Hashable, Sendable { case closed, opening, open, appending }

    public enum Action: Sendable {
        case open(knownHead: Position)
        case append([Entry])
    }

    public private(set) var state: State = .closed
    /// The highest position handed out, as far as this root knows. `.zero` while nothing is known.
    public private(set) var head: Position = .zero
    public private(set) var lastAt: WallMilliseconds = 0
    private var waiting: Deque<(entry: Entry, bytes: Int)> = []
    private var inFlight: [Entry] = []
    private var waitingSince: Instant?
    /// The tries of one batch are numbered, so that an answer to an older one is not taken for the newer.
    private var attempt: UInt64 = 0
    private let batchMax: Int
    private let batchBytesMax: Int

    /// A batch ends at either bound; a single entry above the second one goes alone.
    public init(batchMax: Int = 256, batchBytesMax: Int = 1 << 20) {
        self.batchMax = batchMax
        self.batchBytesMax = batchBytesMax
    }

    public var isIdle: Bool { waiting.isEmpty && inFlight.isEmpty }
    public var queued: Int { waiting.count + inFlight.count }
    public var currentAttempt: UInt64 { attempt }

    public mutating func enqueue(_ entry: Entry, bytes: Int, now: Instant) {
        if isIdle { waitingSince = now }
        waiting.append((entry, bytes))
    }

    /// What to do next, if anything. Call after every event.
    public mutating func next() -> Action? {
        switch state {
        case .closed:
            guard !isIdle else { return nil }
            return startOpening()
        case .open:
            guard !isIdle else { return nil }
            if inFlight.isEmpty { inFlight = takeBatch() }
            state = .appending
            attempt += 1
            return .append(inFlight)
        case .opening, .appending:
            return nil
        }
    }

    private mutating func takeBatch() -> [Entry] {
        var batch: [Entry] = []
        var bytes = 0
        while batch.count < batchMax, let next = waiting.first, batch.isEmpty || bytes + next.bytes <= batchBytesMax {
            waiting.removeFirst()
            batch.append(next.entry)
            bytes += next.bytes
        }
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

    /// The batch in flight was appended; its entries, in order, are returned to be announced. `at` is the time of the last one.
    public mutating func appended(newHead: Position, at: WallMilliseconds, now: Instant, attempt answered: UInt64) -> [Entry]? {
        guard state == .appending, answered == attempt else { return nil }
        let done = inFlight
        inFlight = []
        head = max(head, newHead)
        lastAt = max(lastAt, at)
        state = .open
        waitingSince = waiting.isEmpty ? nil : now
        return done
    }

    /// The try failed or its outcome is unknown: opened anew and tried again on the next `next`.
    public mutating func failed(attempt answered: UInt64) {
        guard answered == attempt, state == .opening || state == .appending else { return }
        state = .closed
    }

    /// The fence or the store's incarnation changed: the log has to be opened anew before the next append.
    public mutating func invalidate() {
        attempt += 1
        state = .closed
    }

    /// Gives everything up that has waited since before `bound` ago, in order: their outcome is unknown to the publishers.
    public mutating func giveUp(now: Instant, after bound: TimeSpan) -> [Entry] {
        guard let since = waitingSince, now - since >= bound, state != .open else { return [] }
        return giveUpAll()
    }

    public mutating func giveUpAll() -> [Entry] {
        let lost = inFlight + waiting.map(\.entry)
        inFlight = []
        waiting.removeAll()
        waitingSince = nil
        if state == .appending { state = .closed }
        attempt += 1
        if state == .opening { state = .closed }
        return lost
    }

    /// Time for the next message: never before the last one's.
    public func stamp(_ wallClock: WallMilliseconds) -> WallMilliseconds { max(wallClock, lastAt) }
}
