import MeshCore

/// Where a replay of a room's ordered messages begins.
public enum ReplayStart: Hashable, Sendable {
    /// Right after a position that the reader has seen. `.zero`: with the oldest message that is kept.
    case after(Position)
    /// With the last so many messages, or all that are kept.
    case last(Int)
}

/// A piece of a room's messages in order, as one level of its tree hands it to another, or to a session.
public struct ReplayPage<Message: Sendable>: Sendable {
    public enum Item: Sendable {
        case message(Position, Message)
        /// Lost, both ends inclusive.
        case gap(from: Position, to: Position)

        public var end: Position {
            switch self {
            case .message(let position, _): position
            case .gap(_, let to): to
            }
        }
    }

    public var items: [Item]
    /// False if messages right after the start are lost; the first item is then the gap that says which.
    public var recovered: Bool
    /// Everything after the start and up to here is in the items.
    public var reached: Position
    /// The newest position known to whoever answered.
    public var head: Position

    public init(items: [Item], recovered: Bool, reached: Position, head: Position) {
        self.items = items
        self.recovered = recovered
        self.reached = reached
        self.head = max(head, reached)
    }

    public var hasMore: Bool { reached < head }
    public var messages: [(Position, Message)] {
        items.compactMap { if case .message(let position, let message) = $0 { (position, message) } else { nil } }
    }

    /// The part after `position`, if that is a place in this page: its end, or that of one of its items.
    func suffix(after position: Position) -> ReplayPage? {
        guard let index = items.firstIndex(where: { $0.end == position }), index + 1 < items.count else { return nil }
        let rest = Array(items[(index + 1)...])
        let startsWithGap = if case .gap = rest[0] { true } else { false }
        return ReplayPage(items: rest, recovered: !startsWithGap, reached: reached, head: head)
    }
}

/// How much one page holds at most. A single message above the bytes makes a page of its own.
public struct ReplayPageLimits: Hashable, Sendable {
    public var messagesMax: Int
    public var bytesMax: Int

    public init(messagesMax: Int = 500, bytesMax: Int = 256 << 10) {
        self.messagesMax = messagesMax
        self.bytesMax = bytesMax
    }
}
