import MeshCore

/// What all clients of one run logged, in the order in which the process that logs heard of it, and the rooms' logs at the end.
public struct History: Sendable {
    public struct Entry: Hashable, Sendable {
        /// Since the beginning of the run.
        public var time: TimeSpan
        public var event: HistoryEvent
    }

    /// A room read through `history` from the oldest message that is kept, after all faults have ended.
    public struct RoomLog: Hashable, Sendable {
        public var messages: [SeenMessage]
        /// Messages may have been trimmed: what is older than the first one is not missing.
        public var isTrimmed: Bool

        public init(_ messages: [SeenMessage], isTrimmed: Bool = false) {
            self.messages = messages
            self.isTrimmed = isTrimmed
        }
    }

    public private(set) var entries: [Entry] = []
    public var logs: [String: RoomLog] = [:]

    public init() {}

    public mutating func record(_ event: HistoryEvent, at time: TimeSpan = .zero) { entries.append(Entry(time: time, event: event)) }

    /// All promises that were broken; empty if none was.
    public func check(_ demands: Demands = Demands()) -> [Violation] {
        let known = rooms.map { RoomFacts(room: $0, history: self, mayLose: demands.roomsThatMayLose.contains($0)) }
        let facts = Dictionary(uniqueKeysWithValues: known.map { ($0.room, $0) })
        var violations = known.flatMap(\.violations)
        violations += AcknowledgementRules(history: self, facts: facts).check()
        violations += PublisherRules(history: self, facts: facts).check()
        violations += FeedRules(history: self, facts: facts).check()
        violations += demands.check(counts)
        return violations
    }

    private var rooms: [String] { Set(entries.compactMap(\.event.room)).union(logs.keys).sorted() }

    /// How much happened, for the verdict and for the report.
    public var counts: Counts { Counts(self) }
}

/// How much traffic and trouble a run had.
public struct Counts: Hashable, Sendable, CustomStringConvertible {
    public private(set) var clients = 0
    public private(set) var keys = 0
    public private(set) var repeats = 0
    public private(set) var acknowledged = 0
    public private(set) var duplicates = 0
    public private(set) var refusals = 0
    public private(set) var seen = 0
    public private(set) var gaps = 0
    /// Subscriptions from a position.
    public private(set) var resumes = 0
    public private(set) var unrecovered = 0
    public private(set) var connections = 0
    public private(set) var disruptions = 0

    init(_ history: History) {
        var known: Set<[String]> = []
        var names: Set<String> = []
        for entry in history.entries {
            if let client = entry.event.client { names.insert(client) }
            count(entry.event, &known)
        }
        clients = names.count
        keys = known.count
    }

    private mutating func count(_ event: HistoryEvent, _ known: inout Set<[String]>) {
        switch event {
        case .published(let client, let room, let key, _): if !known.insert([client, room, key]).inserted { repeats += 1 }
        case .acknowledged(_, _, _, _, let duplicate):
            acknowledged += 1
            if duplicate { duplicates += 1 }
        case .refused: refusals += 1
        case .subscribed(_, _, let subscription):
            if case .position = subscription.start { resumes += 1 }
            if subscription.isShort { unrecovered += 1 }
        case .saw: seen += 1
        case .gap: gaps += 1
        case .connected: connections += 1
        case .disrupted: disruptions += 1
        case .left, .disconnected, .mended: break
        }
    }

    public var description: String {
        "\(clients) clients, \(connections) connections, \(resumes) resumes (\(unrecovered) not whole), \(keys) messages, "
            + "\(repeats) repeats, \(acknowledged) acknowledged (\(duplicates) as duplicates), \(refusals) refusals, \(seen) deliveries, "
            + "\(gaps) gaps, \(disruptions) disruptions"
    }
}

/// What a run must have had to prove anything, and what it may lose.
///
/// A run in which little happened passes every other rule: so it is a failed run, as in etcd's robustness tests.
public struct Demands: Hashable, Sendable {
    public var acknowledgedMin = 1
    public var seenMin = 1
    public var resumesMin = 0
    public var connectionsMin = 0
    public var disruptionsMin = 0
    /// Rooms whose store was wiped on purpose. There an acknowledged message may be gone, with a higher epoch; silence may not.
    public var roomsThatMayLose: Set<String> = []

    public init() {}

    func check(_ counts: Counts) -> [Violation] {
        let demanded = [
            ("acknowledged", counts.acknowledged, acknowledgedMin), ("seen", counts.seen, seenMin),
            ("resumes", counts.resumes, resumesMin), ("connections", counts.connections, connectionsMin),
            ("disruptions", counts.disruptions, disruptionsMin),
        ]
        return demanded.filter { $0.1 < $0.2 }.map {
            Violation(.tooLittle, room: nil, client: nil, "\($0.0): \($0.1), and a run proves nothing below \($0.2)")
        }
    }
}
