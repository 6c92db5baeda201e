import DequeModule
import MeshCore

/// The durable messages of a room as they arrive at one level, put in order (promises P1 and P2): what is not newer is dropped, a
/// hole is fetched from above before anything later goes on, and what cannot be fetched is announced as a gap.
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

    /// The last position that went on from here; nil before the first join.
    public private(set) var head: Position?
    private var hole: Hole?
    private var held: Deque<(Position, Message)> = []
    private let heldMax: Int

    public init(heldMax: Int) { self.heldMax = heldMax }

    /// A join was answered with the room's head. A level that had been fed before fetches what it missed meanwhile.
    public mutating func joined(head newHead: Position) -> Hole? {
        guard let head else {
            self.head = newHead
            return nil
        }
        guard hole == nil, newHead > head else { return nil }
        let missing = Hole(after: head, before: Position(epoch: newHead.epoch, seq: newHead.seq + 1))
        hole = missing
        return missing
    }

    public mutating func receive(_ position: Position, _ message: Message) -> Received {
        let last = held.last?.0 ?? head ?? .zero
        guard position > last else { return .stale }
        if let hole {
            return hold(position, message, missing: hole)
        }
        guard head?.isFollowed(by: position) ?? true else {
            let missing = Hole(after: last, before: position)
            hole = missing
            held.append((position, message))
            return .fetch(missing)
        }
        head = position
        return .deliver
    }

    /// At the bound nothing more is kept: the hole grows to the newest, so that the next fetch brings it all.
    private mutating func hold(_ position: Position, _ message: Message, missing: Hole) -> Received {
        guard held.count < heldMax else {
            held.removeAll()
            hole = Hole(after: missing.after, before: Position(epoch: position.epoch, seq: position.seq + 1))
            return .held
        }
        held.append((position, message))
        return .held
    }

    /// The fetch was answered: `messages` are all that is kept in `asked`, oldest first. Returns what goes on now, and the hole that is
    /// still open, to be fetched in turn.
    public mutating func fetched(_ messages: [(Position, Message)], for asked: Hole, more: Bool) -> (output: [Output], next: Hole?) {
        guard let open = hole else { return ([], nil) }
        var output: [Output] = []
        for (position, message) in messages where position > (head ?? .zero) {
            appendGap(before: position, to: &output)
            output.append(.message(position, message))
            head = position
        }
        let reached = head ?? .zero
        if more || open.before > asked.before {
            let next = Hole(after: reached, before: open.before)
            hole = next
            return (output, next)
        }
        if messages.isEmpty || !closes(reached, open.before) { appendGap(before: open.before, to: &output) }
        hole = nil
        drainHeld(into: &output)
        return (output, nil)
    }

    /// The level above announced that everything up to `position` is lost.
    public mutating func skipped(to position: Position) {
        guard hole == nil, position > head ?? .zero else { return }
        head = position
    }

    /// Nothing kept the missing range: it is announced as lost, and what was held goes on.
    public mutating func gaveUp() -> [Output] {
        guard let open = hole else { return [] }
        var output: [Output] = []
        appendGap(before: open.before, to: &output)
        hole = nil
        drainHeld(into: &output)
        return output
    }

    private func closes(_ head: Position, _ before: Position) -> Bool {
        head.isFollowed(by: before) || head >= before
    }

    private mutating func appendGap(before next: Position, to output: inout [Output]) {
        guard let head, !head.isFollowed(by: next), next > head, head != .zero else { return }
        output.append(.gap(from: Position(epoch: head.epoch, seq: head.seq + 1), to: Position(epoch: next.epoch, seq: next.seq - 1)))
        self.head = Position(epoch: next.epoch, seq: next.seq - 1)
    }

    private mutating func drainHeld(into output: inout [Output]) {
        while let (position, message) = held.popFirst() {
            guard position > (head ?? .zero) else { continue }
            appendGap(before: position, to: &output)
            output.append(.message(position, message))
            head = position
        }
    }
}
