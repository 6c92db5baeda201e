import HistoryChecker
import MeshCore
import Testing

/// Histories of a relay that keeps all promises, made at random; then one thing in each is spoilt, and that must show.
@Suite("Spoilt histories") struct MutationTests {
    private static let seeds = Array(UInt64(1)...40)

    private func rules(_ history: History) -> Set<Violation.Rule> { Set(history.check().map(\.rule)) }

    @Test(arguments: seeds) func whatIsWholeIsGood(seed: UInt64) {
        let history = PerfectRelay.run(seed: seed)
        let violations = history.check()
        #expect(violations.isEmpty, "seed \(seed): \(violations)")
        #expect(history.counts.resumes > 5 && history.counts.acknowledged > 20 && history.counts.duplicates > 0, "seed \(seed)")
    }

    @Test(arguments: seeds) func aDroppedDeliveryShows(seed: UInt64) {
        spoilDeliveries(seed, expecting: [.hole, .unfinished, .badClient]) { events, place in events.remove(at: place) }
    }

    @Test(arguments: seeds) func aDeliveryTwiceShows(seed: UInt64) {
        spoilDeliveries(seed, expecting: [.twice]) { events, place in events.insert(events[place], at: place) }
    }

    @Test(arguments: seeds) func swappedDeliveriesShow(seed: UInt64) {
        spoilDeliveries(seed, expecting: [.hole, .order]) { events, place in
            let feed = events.indices.filter { events[$0].isSighting && Feed(events[$0]) == Feed(events[place]) }
            guard let index = feed.firstIndex(of: place), feed.count > 1 else { return }
            events.swapAt(feed[max(index, 1)], feed[max(index, 1) - 1])
        }
    }

    @Test(arguments: seeds) func aMessageMissingInTheLogShows(seed: UInt64) {
        var history = PerfectRelay.run(seed: seed)
        var random = SeededRandom(seed: seed)
        for room in history.logs.keys.sorted() {
            guard let count = history.logs[room]?.messages.count, count > 2 else { continue }
            let last = Int.random(in: 0..<count, using: &random)
            history.logs[room]?.messages.remove(at: last)
            break
        }
        #expect(!rules(history).isDisjoint(with: [.lost, .hole]), "seed \(seed)")
    }

    @Test(arguments: seeds) func aMovedMessageShows(seed: UInt64) {
        var history = PerfectRelay.run(seed: seed)
        for room in history.logs.keys.sorted() {
            guard let count = history.logs[room]?.messages.count, count > 2 else { continue }
            let place = Int(seed) % (count - 1)
            guard let (one, two) = history.logs[room].map({ ($0.messages[place], $0.messages[place + 1]) }) else { continue }
            history.logs[room]?.messages[place] = two.moved(to: one.position)
            history.logs[room]?.messages[place + 1] = one.moved(to: two.position)
        }
        #expect(!rules(history).isDisjoint(with: [.disagreement, .keyTwice]), "seed \(seed)")
    }

    private func spoilDeliveries(
        _ seed: UInt64, expecting expected: Set<Violation.Rule>, _ spoil: (inout [HistoryEvent], Int) -> Void
    ) {
        let whole = PerfectRelay.run(seed: seed)
        var events = whole.entries.map(\.event)
        var random = SeededRandom(seed: seed &* 31)
        guard let place = events.indices.filter({ events[$0].isSighting }).randomElement(using: &random) else {
            Issue.record("seed \(seed): nothing was seen")
            return
        }
        spoil(&events, place)
        var history = History()
        for event in events { history.record(event) }
        history.logs = whole.logs
        let found = rules(history)
        #expect(!found.isDisjoint(with: expected), "seed \(seed): \(found)")
    }
}

extension HistoryEvent {
    fileprivate var isSighting: Bool { if case .saw = self { true } else { false } }
}

private struct Feed: Hashable {
    var words: [String]

    init(_ event: HistoryEvent) {
        guard case .saw(let client, let room, _) = event else {
            words = []
            return
        }
        words = [client, room]
    }
}

extension SeenMessage {
    fileprivate func moved(to position: Position) -> SeenMessage {
        SeenMessage(position, from: from, key: key, text: text, at: at)
    }
}
