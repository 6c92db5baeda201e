import MeshCore

/// P1, P2 and P6: what one reader of one room was given, over all its connections, is one feed.
struct FeedRules {
    let history: History
    let facts: [String: RoomFacts]

    private struct FeedName: Hashable, Comparable {
        var client: String
        var room: String
        static func < (a: FeedName, b: FeedName) -> Bool { (a.room, a.client) < (b.room, b.client) }
    }

    func check() -> [Violation] {
        var feeds: [FeedName: Feed] = [:]
        var violations: [Violation] = []
        for entry in history.entries {
            guard let client = entry.event.client, let room = entry.event.room, let facts = facts[room] else { continue }
            let name = FeedName(client: client, room: room)
            violations += feeds[name, default: Feed(client: client, facts: facts)].hear(entry)
        }
        return violations + feeds.sorted { $0.key < $1.key }.flatMap { $0.value.end() }
    }
}

/// A reader's place in a room.
private struct Feed {
    let client: String
    let facts: RoomFacts
    /// What the reader has seen or was told to be lost, up to here. Nil while it does not read.
    private var cursor: Position?
    /// Nothing was heard since the last `subscribed`.
    private var isAtStart = false
    private var owesGap = false
    /// The position before is the end of a gap.
    private var isBehindGap = false
    private var seen: Set<Position> = []
    private var recent: [String] = []

    private static let contextMax = 8

    init(client: String, facts: RoomFacts) {
        self.client = client
        self.facts = facts
    }

    mutating func hear(_ entry: History.Entry) -> [Violation] {
        switch entry.event {
        case .subscribed(_, _, let subscription):
            note("\(entry.time): subscribed \(subscription.start), recovered \(subscription.recovered), head \(subscription.head)")
            return subscribed(subscription)
        case .saw(_, _, let message):
            note("\(entry.time): saw \(message)")
            return saw(message)
        case .gap(_, _, let from, let to):
            note("\(entry.time): gap \(from) to \(to)")
            return gap(from, to)
        case .left:
            cursor = nil
            return []
        default:
            return []
        }
    }

    private mutating func note(_ line: String) {
        if recent.count == Self.contextMax { recent.removeFirst() }
        recent.append(line)
    }

    private func violation(_ rule: Violation.Rule, _ detail: String) -> Violation {
        Violation(rule, room: facts.room, client: client, detail, context: recent)
    }

    // MARK: Events

    private mutating func subscribed(_ subscription: Subscription) -> [Violation] {
        defer { (isAtStart, owesGap, isBehindGap) = (true, subscription.isShort, false) }
        switch subscription.start {
        case .live:
            cursor = subscription.head
        case .last(let count):
            cursor = facts.start(ofLast: count, head: subscription.head)
        case .position(let position):
            defer { cursor = position }
            if let cursor, position != cursor { return [violation(.badClient, "asked from \(position) though it was at \(cursor)")] }
            if subscription.recovered, subscription.head < position {
                return [violation(.recovery, "recovered from \(position), and the head is \(subscription.head)")]
            }
        }
        return []
    }

    private mutating func saw(_ message: SeenMessage) -> [Violation] {
        let position = message.position
        guard let cursor else { return [violation(.recovery, "\(message) came before the relay said where it begins")] }
        guard position > cursor else {
            let rule: Violation.Rule = seen.contains(position) ? .twice : .order
            return [violation(rule, "\(message) came at \(cursor)")]
        }
        var violations: [Violation] = []
        if owesGap { violations.append(violation(.recovery, "recovered was false, and no gap came before \(message)")) }
        violations += step(to: position, what: "\(message)")
        self.cursor = position
        seen.insert(position)
        (isAtStart, owesGap, isBehindGap) = (false, false, false)
        return violations
    }

    private mutating func gap(_ from: Position, _ to: Position) -> [Violation] {
        guard let cursor else { return [violation(.recovery, "a gap came before the relay said where it begins")] }
        guard from <= to else { return [violation(.gap, "it ends before it begins")] }
        var violations: [Violation] = []
        if isAtStart, !owesGap, facts.isNext(from, after: cursor) {
            violations.append(violation(.recovery, "recovered was true, and the replay begins with a gap"))
        }
        let kept = facts.kept(from: from, through: to)
        if !kept.isEmpty { violations.append(violation(.gap, "it hides what is in the log: \(list(kept))")) }
        if from > cursor {
            violations += step(to: from, what: "the gap")
        } else if !(isAtStart && owesGap) {
            // Only a log that lost its end can lose what a reader has seen, and then the resume says so.
            violations.append(violation(.gap, "it begins at \(from), and the reader was at \(cursor)"))
        }
        self.cursor = max(cursor, to)
        (isAtStart, owesGap, isBehindGap) = (false, false, true)
        return violations
    }

    /// Nothing may be left out between the cursor and `position`.
    private func step(to position: Position, what: String) -> [Violation] {
        guard let cursor else { return [] }
        if cursor == .zero, facts.isTrimmed { return [] }
        let missed = facts.missed(after: cursor, before: position)
        if !missed.isEmpty { return [violation(.hole, "\(what) came at \(cursor): \(list(missed)) missing without a gap")] }
        // Nobody knows what was there, but seq says that something was.
        let isOpen = isBehindGap && position.epoch > cursor.epoch
        guard isOpen || facts.isNext(position, after: cursor) else {
            return [violation(.hole, "\(what) came at \(cursor): what is in between nobody has seen")]
        }
        return []
    }

    private func list(_ positions: [Position]) -> String {
        let some = positions.prefix(5).map { "\($0) (\(facts.author(at: $0)?.key ?? "?"))" }.joined(separator: ", ")
        return positions.count > 5 ? "\(some) and \(positions.count - 5) more" : some
    }

    // MARK: The end

    /// A reader that has not left has all that the log has.
    func end() -> [Violation] {
        guard let cursor, let head = facts.log.last?.position, cursor < head else { return [] }
        let rest = facts.log.filter { $0.position > cursor }.map(\.position)
        return [violation(.unfinished, "stands at \(cursor) where the log ends at \(head): \(list(rest)) not seen")]
    }
}
