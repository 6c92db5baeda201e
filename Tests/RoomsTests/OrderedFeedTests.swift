import MeshCore
import Testing

@testable import Rooms

private func at(_ seq: UInt64, epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

/// A feed of texts, with everything that went on from it in short form: `1-5`, or `[1-6 1-8]` for a gap.
private final class Feed {
    var feed: OrderedFeed<String>
    var out: [String] = []

    /// - Parameter head: joined with this head unless nil.
    init(head: UInt64? = 10, heldMax: Int = 100) {
        feed = OrderedFeed(heldMax: heldMax)
        if let head { _ = feed.joined(head: at(head)) }
    }

    func joined(_ head: Position) -> OrderedFeed<String>.Hole? { feed.joined(head: head) }

    func receive(_ seq: UInt64, epoch: UInt64 = 1) -> String { receive(at(seq, epoch: epoch)) }

    func receive(_ position: Position) -> String {
        switch feed.receive(position, "\(position)") {
        case .deliver:
            out.append("\(position)")
            return "deliver"
        case .stale: return "stale"
        case .held: return "held"
        case .fetch(let hole): return "fetch \(hole.after) \(hole.before)"
        }
    }

    func fetched(_ seqs: [UInt64], _ after: UInt64, _ before: UInt64, more: Bool = false) -> String {
        fetched(seqs.map { at($0) }, .init(after: at(after), before: at(before)), more: more)
    }

    func fetched(_ positions: [Position], _ hole: OrderedFeed<String>.Hole, more: Bool = false) -> String {
        let (output, next) = feed.fetched(positions.map { ($0, "\($0)") }, for: hole, more: more)
        take(output)
        return next.map { "\($0.after) \($0.before)" } ?? "closed"
    }

    func gaveUp() { take(feed.gaveUp()) }

    func forget(_ seq: UInt64) { take(feed.forget(upTo: at(seq))) }

    func skipped(_ from: UInt64, _ to: UInt64) -> OrderedFeed<String>.Skipped { feed.skipped(from: at(from), to: at(to)) }

    private func take(_ output: [OrderedFeed<String>.Output]) {
        for entry in output {
            switch entry {
            case .message(_, let text): out.append(text)
            case .gap(let from, let to): out.append("[\(from) \(to)]")
            }
        }
    }
}

@Suite("The ordered feed") struct OrderedFeedTests {
    @Test("what was deleted is stale, and what comes next is not a hole") func forgets() {
        let feed = Feed()
        feed.forget(13)
        #expect(feed.receive(12) == "stale" && feed.receive(13) == "stale" && feed.receive(14, epoch: 2) == "deliver")
        feed.forget(9)
        #expect(feed.receive(15, epoch: 2) == "deliver" && feed.out == ["2-14", "2-15"])
        let unfollowed = Feed(head: nil)
        unfollowed.forget(13)
        #expect(unfollowed.joined(at(5)) == nil, "nothing was known, so nothing is missed")
    }

    @Test("a hole that was deleted is closed without a gap; what was held behind it goes on") func forgetsHoles() {
        let feed = Feed()
        #expect(feed.receive(13) == "fetch 1-10 1-13" && feed.receive(14) == "held")
        feed.forget(12)
        #expect(feed.out == ["1-13", "1-14"])
        #expect(feed.fetched([11, 12], 10, 13) == "closed" && feed.out == ["1-13", "1-14"], "the fetch that was under way brings nothing")
        // Also what was held is gone.
        #expect(feed.receive(17) == "fetch 1-14 1-17" && feed.receive(18) == "held")
        feed.forget(17)
        #expect(feed.out == ["1-13", "1-14", "1-18"])
    }

    @Test("of a hole that was deleted in part the rest is still missing") func forgetsHalfAHole() {
        let feed = Feed()
        #expect(feed.receive(16) == "fetch 1-10 1-16")
        feed.forget(12)
        #expect(feed.out.isEmpty)
        #expect(feed.fetched([11, 12, 13, 14, 15], 10, 16) == "closed")
        #expect(feed.out == ["1-13", "1-14", "1-15", "1-16"])
    }

    @Test("in order: delivered at once; not newer: stale") func inOrder() {
        let feed = Feed()
        #expect(feed.receive(10) == "stale")
        #expect(feed.receive(11) == "deliver")
        #expect(feed.receive(12) == "deliver")
        #expect(feed.receive(12) == "stale")
        #expect(feed.receive(3) == "stale")
        #expect(feed.feed.head == at(12))
    }

    @Test("an empty room, or one whose head was not known, begins anywhere") func beginning() {
        let feed = Feed(head: nil)
        #expect(feed.joined(.zero) == nil)
        #expect(feed.receive(500) == "deliver")
        #expect(feed.receive(501) == "deliver")
    }

    @Test("a hole is fetched once, what comes meanwhile is held and goes on in order") func hole() {
        let feed = Feed()
        #expect(feed.receive(13) == "fetch 1-10 1-13")
        #expect(feed.receive(14) == "held")
        #expect(feed.receive(14) == "stale")
        #expect(feed.out == [])
        #expect(feed.fetched([11, 12], 10, 13) == "closed")
        #expect(feed.out == ["1-11", "1-12", "1-13", "1-14"])
        #expect(feed.receive(15) == "deliver")
    }

    @Test("pages: what was fetched goes on at once, the rest is asked for") func pages() {
        let feed = Feed()
        _ = feed.receive(16)
        #expect(feed.fetched([11, 12], 10, 16, more: true) == "1-12 1-16")
        #expect(feed.out == ["1-11", "1-12"])
        #expect(feed.fetched([13, 14, 15], 12, 16) == "closed")
        #expect(feed.out.last == "1-16")
    }

    @Test("a page without progress is the last one") func noProgress() {
        let feed = Feed()
        _ = feed.receive(13)
        #expect(feed.fetched([9, 10], 10, 13, more: true) == "closed")
        #expect(feed.out == ["[1-11 1-12]", "1-13"])
    }

    @Test("what the log does not hold is announced, exactly") func gaps() {
        let feed = Feed()
        _ = feed.receive(20)
        #expect(feed.fetched([13, 14, 17], 10, 20) == "closed")
        #expect(feed.out == ["[1-11 1-12]", "1-13", "1-14", "[1-15 1-16]", "1-17", "[1-18 1-19]", "1-20"])
    }

    @Test("nobody can be asked: all of the hole is announced, what was held goes on") func gaveUp() {
        let feed = Feed()
        _ = feed.receive(13)
        _ = feed.receive(14)
        feed.gaveUp()
        #expect(feed.out == ["[1-11 1-12]", "1-13", "1-14"])
        feed.gaveUp()
        #expect(feed.out.count == 3)
        #expect(feed.receive(15) == "deliver")
    }

    @Test("a second hole behind the first is fetched too, not announced") func secondHole() {
        let feed = Feed()
        _ = feed.receive(13)
        #expect(feed.receive(16) == "held")
        #expect(feed.fetched([11, 12], 10, 13) == "1-12 1-16")
        #expect(feed.fetched([13, 14, 15], 12, 16) == "closed")
        #expect(feed.out == ["1-11", "1-12", "1-13", "1-14", "1-15", "1-16"])
    }

    @Test("a second hole that cannot be fetched: what was held is not lost with it") func secondHoleGivenUp() {
        let feed = Feed()
        _ = feed.receive(13)
        _ = feed.receive(16)
        feed.gaveUp()
        #expect(feed.out == ["[1-11 1-12]", "1-13", "[1-14 1-15]", "1-16"])
    }

    @Test("at the bound nothing is held, and all of it is fetched") func bound() {
        let feed = Feed(heldMax: 2)
        _ = feed.receive(13)
        #expect(feed.receive(14) == "held")
        #expect(feed.receive(15) == "held")
        #expect(feed.receive(16) == "held")
        #expect(feed.fetched([11, 12], 10, 13) == "1-12 1-16")
        #expect(feed.fetched([13, 14, 15], 12, 16) == "closed")
        #expect(feed.out == (11...16).map { "1-\($0)" })
    }

    @Test("a second join: what was missed meanwhile is fetched") func rejoin() {
        let feed = Feed()
        _ = feed.receive(11)
        #expect(feed.joined(at(11)) == nil)
        #expect(feed.joined(at(9)) == nil)
        #expect(feed.joined(at(14)) == .init(after: at(11), before: at(15)))
        #expect(feed.receive(15) == "held")
        #expect(feed.fetched([12, 13, 14], 11, 15) == "closed")
        #expect(feed.out == (11...15).map { "1-\($0)" })
    }

    @Test("a second join while a fetch is under way: the next fetch brings the rest") func rejoinDuringFetch() {
        let feed = Feed()
        _ = feed.receive(13)
        #expect(feed.joined(at(20)) == nil)
        #expect(feed.fetched([11, 12], 10, 13) == "1-12 1-21")
        #expect(feed.fetched(Array(13...20), 12, 21) == "closed")
        #expect(feed.out == (11...20).map { "1-\($0)" })
    }

    @Test("a newer epoch that goes on needs no fetch, one that does not is fetched") func epochs() {
        let feed = Feed()
        #expect(feed.receive(11, epoch: 2) == "deliver")
        #expect(feed.receive(12) == "stale", "of the older epoch")
        #expect(feed.receive(14, epoch: 3) == "fetch 2-11 3-14")
        #expect(feed.fetched([at(12, epoch: 2)], .init(after: at(11, epoch: 2), before: at(14, epoch: 3))) == "closed")
        #expect(feed.out == ["2-11", "2-12", "[2-13 3-13]", "3-14"])
        #expect(feed.receive(1, epoch: 4) == "deliver", "a log that began anew")
    }

    @Test("a join into a newer epoch whose log lost the tail") func epochRejoin() {
        let feed = Feed()
        let hole = OrderedFeed<String>.Hole(after: at(10), before: at(13, epoch: 2))
        #expect(feed.joined(at(12, epoch: 2)) == hole)
        #expect(feed.fetched([], hole) == "closed")
        #expect(feed.out == ["[1-11 2-12]"])
        #expect(feed.receive(13, epoch: 2) == "deliver")
    }

    @Test("an announced gap: told in turn, clipped, or stale") func skipped() {
        let feed = Feed()
        #expect(feed.skipped(11, 14) == .announce(from: at(11)))
        #expect(feed.skipped(8, 14) == .stale)
        #expect(feed.skipped(12, 16) == .announce(from: at(15)))
        #expect(feed.receive(17) == "deliver")
        let fresh = Feed(head: nil)
        #expect(fresh.skipped(3, 5) == .announce(from: at(3)))
        #expect(fresh.receive(6) == "deliver")
    }

    @Test("an announced gap does not jump over what is missing before it") func skippedBehindHole() {
        let feed = Feed()
        #expect(feed.skipped(13, 15) == .fetch(.init(after: at(10), before: at(16))))
        #expect(feed.receive(16) == "held")
        #expect(feed.fetched([11, 12], 10, 16) == "closed")
        #expect(feed.out == ["1-11", "1-12", "[1-13 1-15]", "1-16"])
        _ = feed.receive(18)
        #expect(feed.skipped(19, 25) == .held)
        #expect(feed.receive(26) == "held")
        #expect(feed.fetched([17], 16, 18) == "1-17 1-26")
        #expect(feed.fetched([18], 17, 26) == "closed")
        #expect(feed.out.suffix(4) == ["1-17", "1-18", "[1-19 1-25]", "1-26"])
    }

    @Test("answers that nobody waits for change nothing") func lateAnswer() {
        let feed = Feed()
        #expect(feed.fetched([11], 10, 12) == "closed")
        #expect(feed.out == [] && feed.feed.head == at(10))
    }

    @Test("the largest numbers of a peer do not trap") func extremes() {
        let feed = Feed()
        #expect(feed.receive(.max) == "fetch 1-10 1-\(UInt64.max)")
        #expect(feed.receive(.max, epoch: .max) == "held")
        #expect(feed.joined(at(.max, epoch: .max)) == nil)
        feed.gaveUp()
        #expect(feed.receive(.max, epoch: .max) == "stale")
    }
}

/// A log in which publishes happen, a link that drops, repeats and breaks, and a level that is joined again and again. What goes on from
/// the level must be the log from its first head on: in order, once, and a gap only where the log was trimmed.
private struct FeedModel {
    var random: SeededRandom
    var log: [Position] = []
    var feed: OrderedFeed<Int>
    var link: [Position] = []
    /// The fetch under way, and how much the log had when it was answered.
    var fetching: OrderedFeed<Int>.Hole?
    var isLinked = true
    var trimmed = 0
    var out: [OrderedFeed<Int>.Output] = []
    var epoch: UInt64 = 1
    let seed: UInt64

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        feed = OrderedFeed(heldMax: Int.random(in: 1...6, using: &random))
        log = [Position(epoch: 1, seq: 1)]
        _ = feed.joined(head: log[0])
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<45: publish()
        case 45..<75: deliver()
        case 75..<90: answer()
        case 90..<93: relink()
        case 93..<95: trimmed = min(log.count - 1, trimmed + Int.random(in: 0...4, using: &random))
        default: repeated()
        }
    }

    mutating func publish() {
        if chance(4) { epoch += UInt64.random(in: 1...3, using: &random) }
        let position = Position(epoch: epoch, seq: log[log.count - 1].seq + 1)
        log.append(position)
        if isLinked, !chance(15) { link.append(position) }
    }

    mutating func deliver() {
        guard !link.isEmpty else { return }
        receive(link.removeFirst())
    }

    mutating func repeated() {
        guard let old = log.randomElement(using: &random), !(old > (feed.head ?? .zero)) else { return }
        receive(old)
    }

    mutating func receive(_ position: Position) {
        switch feed.receive(position, Int(position.seq)) {
        case .deliver: out.append(.message(position, Int(position.seq)))
        case .fetch(let hole):
            #expect(fetching == nil, "two fetches at a time, seed \(seed)")
            fetching = hole
        case .stale, .held: break
        }
    }

    mutating func relink() {
        link.removeAll()
        join()
    }

    mutating func join() {
        guard let hole = feed.joined(head: log[log.count - 1]) else { return }
        #expect(fetching == nil, "two fetches at a time, seed \(seed)")
        fetching = hole
    }

    mutating func answer() {
        guard let hole = fetching else { return }
        fetching = nil
        let found = log[trimmed...].filter { $0 > hole.after && $0 < hole.before }
        let page = Array(found.prefix(Int.random(in: 1...5, using: &random)))
        let (output, next) = feed.fetched(page.map { ($0, Int($0.seq)) }, for: hole, more: page.count < found.count)
        out += output
        fetching = next
    }

    /// The faults stop: the link comes up and everything is answered.
    mutating func settle() {
        relink()
        while fetching != nil { answer() }
        publish()
        link.removeAll()
        join()
        while fetching != nil { answer() }
    }
}

@Suite("The ordered feed, at random") struct OrderedFeedModelTests {
    @Test("all of the log, once, in order, and gaps only where it was trimmed", arguments: 0..<400 as Range<UInt64>)
    func model(_ seed: UInt64) {
        var model = FeedModel(seed: seed)
        for _ in 0..<300 { model.step() }
        model.settle()
        var next = 1
        for output in model.out {
            switch output {
            case .message(let position, let text):
                guard next < model.log.count, position == model.log[next], text == Int(position.seq) else {
                    Issue.record("seed \(seed): \(position) instead of \(next < model.log.count ? "\(model.log[next])" : "the end")")
                    return
                }
                next += 1
            case .gap(let from, let to):
                guard next < model.log.count, from.seq == model.log[next].seq else {
                    Issue.record("seed \(seed): a gap from \(from) to \(to) at \(next)")
                    return
                }
                while next < model.log.count, model.log[next].seq <= to.seq { next += 1 }
                #expect(next <= model.trimmed, "seed \(seed): the log still has what is called lost")
            }
        }
        #expect(next == model.log.count, "seed \(seed): ended at \(next) of \(model.log.count)")
    }
}
