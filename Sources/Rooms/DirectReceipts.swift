import DequeModule
import MeshCore

/// Tells those who wrote to a user how far she has received and read what they wrote: they may not subscribe to her inbox.
///
/// Kept at the root of the inbox. It remembers who sent the last messages; what it does not remember is read from the log. Senders are
/// told up to their own last message and learn nothing of other people's.
public struct DirectReceipts: Sendable {
    public struct Sent: Hashable, Sendable {
        public var position: Position
        public var sender: String
        public init(position: Position, sender: String) {
            self.position = position
            self.sender = sender
        }
    }

    /// What a sender is to be told.
    public struct Word: Hashable, Sendable {
        public var sender: String
        public var positions: ReceiptPositions
        /// How often it was said in vain.
        public var failures = 0
    }

    /// Messages after `after` up to `upTo`, whose senders are not known here.
    public struct Missing: Hashable, Sendable {
        public var after: Position
        public var upTo: Position
        public init(after: Position, upTo: Position) {
            self.after = after
            self.upTo = upTo
        }
    }

    /// Messages remembered, and senders that wait to be told.
    public static let most = 1_000
    /// Past it a sender is not told: her next question finds a newer answer.
    public static let failuresMax = 5

    private let user: String
    private var sent: Deque<Sent> = []
    /// Everything after it is in `sent`.
    private var floor: Position?
    /// Up to where senders were told; nil until it is known what the store remembers.
    private var told: ReceiptPositions?
    private var reached = ReceiptPositions.none
    private var isReading = false
    private var waiting: [String: Word] = [:]
    private var lost = 0

    public init(of user: String) { self.user = user }

    public var isIdle: Bool { waiting.isEmpty && !isReading && (told.map { $0 == reached } ?? (reached == .none)) }
    public var isKnown: Bool { told != nil }

    /// A message was appended to the inbox. Call in order.
    public mutating func appended(_ message: Sent) {
        if floor == nil { floor = message.position.seq <= 1 ? .zero : message.position.predecessor }
        if let last = sent.last, !last.position.isFollowed(by: message.position) {
            // What came between was appended by a try that nobody heard of: it is read when it is asked for.
            sent.removeAll()
            floor = message.position.predecessor
        }
        sent.append(message)
        if sent.count > Self.most { floor = sent.removeFirst().position }
    }

    /// What the store remembers: so far senders were told before.
    public mutating func loaded(_ stored: ReceiptPositions) {
        told = told ?? stored
        reached = reached.merged(with: stored)
    }

    /// The user confirmed more, for others to see.
    public mutating func moved(to positions: ReceiptPositions) { reached = reached.merged(with: positions) }

    /// Works out whom to tell. Returns what has to be read for it; call `read` with the answer.
    public mutating func advance() -> Missing? {
        guard let told, !isReading, told != reached else { return nil }
        let moved = [
            reached.delivered > told.delivered ? told.delivered : nil, reached.read > told.read ? told.read : nil,
        ]
        let start = moved.compactMap { $0 }.min() ?? reached.delivered
        guard let floor, floor <= start else {
            isReading = true
            return Missing(after: start, upTo: reached.delivered)
        }
        tell(Array(sent), upTo: reached)
        return nil
    }

    /// The answer to `advance`, at most the newest `most` of what is missing; nil if it could not be read, to be asked again.
    public mutating func read(_ messages: [Sent]?, for missing: Missing) {
        isReading = false
        guard let messages else { return }
        // More may have been confirmed meanwhile, for which the next call reads.
        tell(messages, upTo: reached.upTo(missing.upTo))
    }

    private mutating func tell(_ messages: [Sent], upTo end: ReceiptPositions) {
        guard let begin = told else { return }
        told = begin.merged(with: end)
        for message in messages where message.sender != user {
            let isDelivered = message.position > begin.delivered && message.position <= end.delivered
            let isRead = message.position > begin.read && message.position <= end.read
            guard isDelivered || isRead else { continue }
            say(
                ReceiptPositions(delivered: isDelivered ? message.position : .zero, read: isRead ? message.position : .zero),
                to: message.sender, failures: 0)
        }
    }

    private mutating func say(_ positions: ReceiptPositions, to sender: String, failures: Int) {
        guard waiting[sender] != nil || waiting.count < Self.most else {
            lost += 1
            return
        }
        let merged = (waiting[sender]?.positions ?? .none).merged(with: positions)
        waiting[sender] = Word(sender: sender, positions: merged, failures: max(failures, waiting[sender]?.failures ?? 0))
    }

    /// What to say now.
    public mutating func takeWords() -> [Word] {
        defer { waiting.removeAll() }
        return Array(waiting.values)
    }

    /// It did not arrive: said again, or given up.
    public mutating func failed(_ word: Word) {
        guard word.failures + 1 < Self.failuresMax else {
            lost += 1
            return
        }
        say(word.positions, to: word.sender, failures: word.failures + 1)
    }

    /// How many senders were not told, since the last call.
    public mutating func takeLost() -> Int {
        defer { lost = 0 }
        return lost
    }
}
