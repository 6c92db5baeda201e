import MeshCore

/// Everything that anybody has learned of a room: its log at the end, what readers saw, what publishers were told. Finds what contradicts
/// itself on the way.
struct RoomFacts {
    let room: String
    let mayLose: Bool
    let isTrimmed: Bool
    /// The log at the end, in its order.
    let log: [SeenMessage]
    let logged: Set<Position>
    private(set) var violations: [Violation] = []
    /// Of every position somebody knows: who wrote what there.
    private var authors: [Position: Author] = [:]
    private var messages: [Position: SeenMessage] = [:]
    private var positions: [PublishKey: Position] = [:]
    /// All known positions.
    private(set) var sorted: [Position] = []

    struct Author: Hashable {
        var from: String
        var key: String
    }

    /// A key counts for its user, and after a loss for its epoch: who saw no answer may repeat what is gone.
    private struct PublishKey: Hashable {
        var author: Author
        var epoch: UInt64?
    }

    init(room: String, history: History, mayLose: Bool) {
        self.room = room
        self.mayLose = mayLose
        let final = history.logs[room]
        isTrimmed = final?.isTrimmed ?? false
        log = final?.messages ?? []
        logged = Set(log.map(\.position))
        checkLogOrder()
        for message in log { learn(message, from: nil) }
        for entry in history.entries where entry.event.room == room {
            switch entry.event {
            case .saw(let client, _, let message): learn(message, from: client)
            case .acknowledged(let client, _, let key, let position, _):
                learn(position, Author(from: client, key: key), from: client)
            default: break
            }
        }
        sorted = authors.keys.sorted()
        checkTime()
    }

    // MARK: Learning

    private mutating func learn(_ message: SeenMessage, from client: String?) {
        learn(message.position, Author(from: message.from, key: message.key), from: client)
        if let known = messages[message.position] {
            guard known != message else { return }
            report(
                .disagreement, client, "\(message) has at \(message.at) and \"\(message.text)\", elsewhere \(known.at), \"\(known.text)\"")
        } else {
            messages[message.position] = message
        }
    }

    private mutating func learn(_ position: Position, _ author: Author, from client: String?) {
        if let known = authors[position] {
            if known != author {
                report(.disagreement, client, "\(position) is \(author.key) of \(author.from), elsewhere \(known.key) of \(known.from)")
            }
            return
        }
        authors[position] = author
        let key = PublishKey(author: author, epoch: mayLose ? position.epoch : nil)
        if let first = positions[key] {
            report(.keyTwice, client, "\(author.key) of \(author.from) stands at \(first) and at \(position)")
        } else {
            positions[key] = position
        }
    }

    private mutating func report(_ rule: Violation.Rule, _ client: String?, _ detail: String) {
        violations.append(Violation(rule, room: room, client: client, detail))
    }

    // MARK: Rules about the log itself

    /// Positions increase, and seq goes on by one: also into a new epoch, unless the store had lost all.
    private mutating func checkLogOrder() {
        for (one, next) in zip(log, log.dropFirst()) {
            if next.position <= one.position {
                report(.order, nil, "in the log \(next) stands behind \(one)")
            } else if !isNext(next.position, after: one.position) {
                report(.hole, nil, "in the log \(next) comes after \(one)")
            }
        }
    }

    private mutating func checkTime() {
        let known = sorted.compactMap { messages[$0] }
        for (one, next) in zip(known, known.dropFirst()) where next.at < one.at {
            report(.time, nil, "\(next) has at \(next.at), which is before \(one.at) of \(one)")
        }
    }

    // MARK: Questions

    func author(at position: Position) -> Author? { authors[position] }
    var allMessages: some Collection<SeenMessage> { messages.values }

    /// Where the log has it, or else where somebody saw it.
    func position(of author: Author) -> Position? {
        positions[PublishKey(author: author, epoch: nil)]
            ?? positions.filter { $0.key.author == author }.map(\.value).min()
    }

    /// Whether nothing can stand in between.
    func isNext(_ next: Position, after position: Position) -> Bool {
        if position == .zero || (mayLose && next.epoch > position.epoch) { return true }
        return next.epoch >= position.epoch && next.seq == position.seq + 1
    }

    /// What a reader that went from `low` to `high` at once has missed, both excluded.
    ///
    /// Where a store was wiped, a step into a higher epoch announces what is in no log any more: nobody is left who could say more.
    func missed(after low: Position, before high: Position) -> [Position] {
        between(low, high).filter { !mayLose || logged.contains($0) || $0.epoch == high.epoch }
    }

    private func between(_ low: Position, _ high: Position) -> ArraySlice<Position> {
        let begin = sorted.partitioningIndex { $0 > low }
        let end = sorted.partitioningIndex { $0 >= high }
        return begin < end ? sorted[begin..<end] : []
    }

    /// What is still in the log of a range, both ends included.
    func kept(from low: Position, through high: Position) -> [Position] {
        (between(low, high) + [low, high].filter { authors[$0] != nil }).filter(logged.contains).sorted()
    }

    /// What was before the last `count` messages up to `head`.
    func start(ofLast count: Int, head: Position) -> Position {
        sorted.prefix(sorted.partitioningIndex { $0 > head }).dropLast(count).last ?? .zero
    }
}

extension Array {
    /// The first index whose element fulfils what all behind it fulfil too.
    func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
