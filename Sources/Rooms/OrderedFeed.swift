import DequeModule
import MeshCore

/// The durable messages of a room as they arrive at one level, put in order (promises P1 and P2): what is not newer is dropped, a
/// hole is fetched from above before anything later goes on, and what cannot be fetched is announced as a gap.
///
/// There is one hole at a time. What arrives meanwhile is held as long as it follows what is held; where it does not, the hole grows up
/// to it, so that nothing is announced as lost that nobody was asked for.
public struct OrderedFeed<Message: Sendable>: Sendable {
    public enum Output: Sendable {
        case message(Position, Message)
        /// Lost, both ends inclusive.
        case gap(from: Position, to: Position)
    }

    /// Messages after `after` and before `before`, both exclusive, are missing here.
    public struct Hole: Hashable, Sendable {
        public var after: Position
        public var before: Position
    }

    public enum Received: Sendable {
        case deliver
        case stale
        /// Kept until the hole before it is closed.
        case held
        /// Kept, and the hole has to be fetched.
        case fetch(Hole)
    }

    /// What to do with a gap that the level above announced.
    public enum Skipped: Hashable, Sendable {
        /// Announce it in turn, from here on.
        case announce(from: Position)
        case stale
        /// Something before it is missing here too: the hole that is being fetched reaches over it now.
        case held
        case fetch(Hole)
    }

    /// The last position that went on from here; nil before the first join.
    public private(set) var head: Position?
    private var hole: Hole?
    private var held: Deque<(Position, Message)> = []
    private let heldMax: Int

    public init(heldMax: Int) { self.heldMax = heldMax }

    /// A join was answered with the room's head. A level that had been fed before fetches what it missed meanwhile; if a fetch is under
    /// way already, the next one brings it.
    public mutating func joined(head newHead: Position) -> Hole? {
        guard let head else {
            self.head = newHead
            return nil
        }
        guard newHead > held.last?.0 ?? head else { return nil }
        return extend(to: newHead.successor)
    }

    public mutating func receive(_ position: Position, _ message: Message) -> Received {
        guard position > held.last?.0 ?? head ?? .zero else { return .stale }
        if hole == nil, head?.isFollowed(by: position) ?? true {
            head = position
            return .deliver
        }
        guard held.count < heldMax else {
            // Nothing more is kept: the next fetch brings it all.
            held.removeAll()
            return extend(to: position.successor).map { .fetch($0) } ?? .held
        }
        let fetch = follows(position) ? nil : extend(to: position)
        held.append((position, message))
        return fetch.map { .fetch($0) } ?? .held
    }

    /// Whether nothing is missing between the hole with what is held behind it, and `position`.
    private func follows(_ position: Position) -> Bool {
        guard let hole else { return false }
        return held.last.map { $0.0.isFollowed(by: position) } ?? (position <= hole.before)
    }

    /// The hole reaches up to `before`. Returned if it is new and has to be fetched.
    private mutating func extend(to before: Position) -> Hole? {
        if let open = hole {
            hole = Hole(after: open.after, before: max(open.before, before))
            return nil
        }
        let missing = Hole(after: head ?? .zero, before: before)
        hole = missing
        return missing
    }

    /// The fetch was answered: `messages` are what is kept in `asked`, oldest first, all of it unless there is `more`. Returns what goes
    /// on now, and the hole that is still open, to be fetched in turn.
    public mutating func fetched(_ messages: [(Position, Message)], for asked: Hole, more: Bool) -> (output: [Output], next: Hole?) {
        guard let open = hole else { return ([], nil) }
        var output: [Output] = []
        let start = head
        for (position, message) in messages {
            drainHeld(before: position, into: &output)
            emit(position, message, to: &output)
        }
        let hasMore = more && head != start
        if hasMore || open.before > asked.before {
            let next = Hole(after: head ?? .zero, before: open.before)
            hole = next
            return (output, next)
        }
        close(open, into: &output)
        return (output, nil)
    }

    /// The level above announced that what lies between `from` and `to` is lost.
    public mutating func skipped(from: Position, to: Position) -> Skipped {
        guard to > held.last?.0 ?? head ?? .zero else { return .stale }
        guard hole == nil, let head, from <= head || head.isFollowed(by: from) else {
            if self.head == nil {
                self.head = to
                return .announce(from: from)
            }
            return extend(to: to.successor).map { .fetch($0) } ?? .held
        }
        self.head = to
        return .announce(from: max(from, head.successor))
    }

    /// Everything up to `position` was deleted: it is neither fetched nor announced as lost. Returns what goes on now.
    public mutating func forget(upTo position: Position) -> [Output] {
        guard let known = head, known < position else { return [] }
        head = position
        while let first = held.first, first.0 <= position { held.removeFirst() }
        guard let open = hole else { return [] }
        var output: [Output] = []
        if open.before <= position || position.isFollowed(by: open.before) {
            close(open, into: &output)
        } else {
            hole = Hole(after: position, before: open.before)
        }
        return output
    }

    /// Nobody can be asked for the missing range: it is announced as lost, and what was held goes on.
    public mutating func gaveUp() -> [Output] {
        guard let open = hole else { return [] }
        var output: [Output] = []
        close(open, into: &output)
        return output
    }

    private mutating func close(_ open: Hole, into output: inout [Output]) {
        hole = nil
        drainHeld(before: nil, into: &output)
        if open.before > head ?? .zero { appendGap(before: open.before, to: &output) }
    }

    private mutating func emit(_ position: Position, _ message: Message, to output: inout [Output]) {
        guard position > head ?? .zero else { return }
        appendGap(before: position, to: &output)
        output.append(.message(position, message))
        head = position
    }

    private mutating func appendGap(before next: Position, to output: inout [Output]) {
        guard let head, !head.isFollowed(by: next), next > head else { return }
        let last = next.predecessor
        output.append(.gap(from: head.successor, to: last))
        self.head = last
    }

    private mutating func drainHeld(before limit: Position?, into output: inout [Output]) {
        while let (position, message) = held.first, limit.map({ position < $0 }) ?? true {
            held.removeFirst()
            emit(position, message, to: &output)
        }
    }
}
