import DequeModule
import MeshCore

/// The newest durable messages of a room as they passed one level of its tree: whoever missed a few of them is served from here, and nobody
/// above is asked.
public struct Tail<Message: Sendable>: Sendable {
    private struct Entry: Sendable {
        var position: Position
        var message: Message
        var bytes: Int
        var at: Instant
    }

    /// Everything after it, up to the head, is here. Nil while nothing is known.
    public private(set) var start: Position?
    private var entries: Deque<Entry> = []
    public private(set) var bytes = 0
    private let messagesMax: Int
    private let bytesMax: Int

    /// - Parameter bytesMax: at either bound the oldest messages are forgotten.
    public init(messagesMax: Int, bytesMax: Int) {
        self.messagesMax = messagesMax
        self.bytesMax = bytesMax
    }

    public var head: Position? { entries.last?.position ?? start }
    public var count: Int { entries.count }

    /// The level is at `head` from here on. What is kept stays if it ends there.
    public mutating func begin(at head: Position) {
        guard self.head != head else { return }
        forget()
        start = head
    }

    /// Forgets everything, also where the room stands.
    public mutating func forget() {
        entries = []
        start = nil
        bytes = 0
    }

    /// The next message passed. One that does not follow on what is kept, or comes first, begins anew: a tail has no holes.
    public mutating func append(_ position: Position, _ message: Message, bytes size: Int, now: Instant) {
        if let head, position <= head { return }
        if head?.isFollowed(by: position) != true { begin(at: position.predecessor) }
        entries.append(Entry(position: position, message: message, bytes: size, at: now))
        bytes += size
        while entries.count > messagesMax || bytes > bytesMax { dropFirst() }
    }

    /// Forgets what passed before `time`: whoever comes back that late may ask the log.
    public mutating func expire(before time: Instant) {
        while let first = entries.first, first.at < time { dropFirst() }
    }

    /// What is kept ends with a hole up to `head`, or was given up for want of room.
    public mutating func skip(to head: Position) {
        guard let known = self.head, head >= known else { return }
        forget()
        start = head
    }

    private mutating func dropFirst() {
        guard let first = entries.popFirst() else { return }
        bytes -= first.bytes
        start = first.position
    }

    /// The messages from `begin` on, or nil if they are not all here: a position that was never a place in this tail is for somebody above
    /// to judge.
    public func page(_ begin: ReplayStart, _ limits: ReplayPageLimits) -> ReplayPage<Message>? {
        guard let start, let head, let first = index(of: begin, start) else { return nil }
        var items: [ReplayPage<Message>.Item] = []
        var size = 0
        for entry in entries[first...].prefix(limits.messagesMax) {
            size += entry.bytes
            guard size <= limits.bytesMax || items.isEmpty else { break }
            items.append(.message(entry.position, entry.message))
        }
        return ReplayPage(items: items, recovered: true, reached: items.last?.end ?? head, head: head)
    }

    /// Of the first entry to read.
    private func index(of begin: ReplayStart, _ start: Position) -> Int? {
        switch begin {
        case .last(let count):
            if entries.count >= count { return entries.count - max(0, count) }
            return start == .zero ? 0 : nil
        case .after(let position):
            if position == start { return 0 }
            guard let index = search(position) else { return nil }
            return index + 1
        }
    }

    /// Binary: positions grow.
    private func search(_ position: Position) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].position == position ? low : nil
    }
}
