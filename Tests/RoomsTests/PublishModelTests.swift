import MeshCore
import Rooms
import Testing

/// Sessions publish through lossy links to a root that restarts, over a store whose answers get lost. At the end every publish that was
/// acknowledged is in the log once, and what each session published stands there in its order (promises P1 and P3).
private struct PublishModel {
    struct Publish: Hashable {
        var session: Int
        var key: String
    }

    struct Frame {
        var session: Int
        var number: UInt64
        var base: UInt64
        var publish: Publish
    }

    enum Answer {
        case published(Int)
        case outOfSequence
        case unavailable
    }

    struct Edge {
        var queue = PublishQueue<Publish>(startingAt: 1)
        var sent = 0
        var frames: [Frame] = []
        var answers: [(number: UInt64, Answer)] = []
    }

    let seed: UInt64
    var random: SeededRandom
    var now = Instant.zero
    var edges: [Edge]
    var log = Self.newLog
    static var newLog: RootLog<Frame> { RootLog(batchMax: 3, batchesMax: 2) }
    var order = PublisherOrder<Int>()
    /// What the store was asked, when it gets to it: to open the log, or to append behind a message.
    struct Asked {
        var attempt: UInt64
        var entries: [Frame]?
        var before: UInt64?
    }
    /// Which attempt the store has appended last since the log was opened.
    var lastBatch: UInt64?
    var asked: [Asked] = []

    var stored: [Publish] = []
    var keys: [Publish: Int] = [:]
    var acknowledged: [Publish: Int] = [:]

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        edges = (0..<3).map { _ in Edge() }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func step(faults: Bool) {
        now = now + .milliseconds(10)
        let index = Int.random(in: 0..<edges.count, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<20 where faults: publish(index)
        case 20..<50: arrive(index, losing: faults)
        case 50..<75: storeAnswers(losing: faults)
        case 75..<90: answered(index, losing: faults)
        case 90..<95: sweep(index)
        case 95..<96 where faults: restartRoot()
        case 96..<97 where faults: log.invalidate()
        case 97..<98 where faults: refuse(log.giveUp(now: now, after: .milliseconds(300)))
        case 98..<99 where faults: for gone in edges[index].queue.expire(now: now) { acknowledged[gone] = nil }
        default: pump()
        }
    }

    mutating func publish(_ index: Int) {
        edges[index].sent += 1
        let publish = Publish(session: index, key: "\(index)-\(edges[index].sent)")
        send(edges[index].queue.add(publish, now: now, deadline: now + .seconds(2)).entry, index)
    }

    mutating func send(_ entry: PublishQueue<Publish>.Pending, _ index: Int) {
        edges[index].frames.append(
            Frame(session: index, number: entry.number, base: edges[index].queue.base, publish: entry.publish))
    }

    mutating func arrive(_ index: Int, losing: Bool) {
        guard !edges[index].frames.isEmpty else { return }
        let frame = edges[index].frames.removeFirst()
        if losing, chance(15) { return }
        guard order.admit(index, number: frame.number, base: frame.base, now: now) else {
            edges[index].answers.append((frame.number, .outOfSequence))
            return
        }
        log.enqueue(frame, bytes: 10, now: now)
        pump()
    }

    mutating func pump() {
        while let action = log.next() {
            switch action {
            case .open: asked.append(Asked(attempt: log.currentAttempt))
            case .append(let entries, let before): asked.append(Asked(attempt: log.currentAttempt, entries: entries, before: before))
            }
        }
    }

    /// The store does it, or not; its answer arrives, or not.
    mutating func storeAnswers(losing: Bool) {
        guard !asked.isEmpty else { return }
        let next = asked.removeFirst()
        if losing, chance(10) { return fail(next) }
        guard let entries = next.entries else {
            lastBatch = nil
            log.opened(head: Position(epoch: 1, seq: UInt64(stored.count)), lastAt: 0, attempt: next.attempt)
            return pump()
        }
        if let before = next.before, lastBatch != before { return fail(next) }
        lastBatch = next.attempt
        let places = entries.map { append($0.publish) }
        if losing, chance(15) { return fail(next) }
        guard let done = log.appended(newHead: Position(epoch: 1, seq: UInt64(stored.count)), now: now, attempt: next.attempt) else {
            return
        }
        for (frame, place) in zip(done, places) { edges[frame.session].answers.append((frame.number, .published(place))) }
        pump()
    }

    mutating func fail(_ asked: Asked) { log.failed(attempt: asked.attempt) }

    mutating func append(_ publish: Publish) -> Int {
        if let place = keys[publish] { return place }
        stored.append(publish)
        keys[publish] = stored.count
        return stored.count
    }

    mutating func answered(_ index: Int, losing: Bool) {
        guard !edges[index].answers.isEmpty else { return }
        let (number, answer) = edges[index].answers.removeFirst()
        if losing, chance(10) { return }
        switch answer {
        case .published(let place):
            if let publish = edges[index].queue.settle(number) { acknowledged[publish] = place }
        case .outOfSequence: edges[index].queue.markRefused()
        case .unavailable: _ = edges[index].queue.settle(number)
        }
    }

    /// Repeats wait until the link is empty, or a slow one would never be.
    mutating func sweep(_ index: Int) {
        guard edges[index].frames.isEmpty, edges[index].queue.isOverdue(now: now, after: .milliseconds(100)) else { return }
        for entry in edges[index].queue.resend(now: now) { send(entry, index) }
    }

    /// Another root: it knows no order and no log, and what was under way is lost with the old one.
    mutating func restartRoot() {
        log = Self.newLog
        order = PublisherOrder()
        asked = []
        for index in edges.indices { edges[index].answers.removeAll() }
        for index in edges.indices { edges[index].frames.removeAll() }
    }

    mutating func refuse(_ frames: [Frame]) {
        for frame in frames {
            order.failed(frame.session, number: frame.number)
            edges[frame.session].answers.append((frame.number, .unavailable))
        }
    }

    var isDone: Bool { edges.allSatisfy { $0.queue.isEmpty && $0.frames.isEmpty } && log.isIdle }
}

@Suite("Publishing, at random") struct PublishModelTests {
    @Test("acknowledged once, each session in its order", arguments: 0..<300 as Range<UInt64>)
    func model(_ seed: UInt64) {
        var model = PublishModel(seed: seed)
        for _ in 0..<800 { model.step(faults: true) }
        var steps = 0
        while !model.isDone, steps < 20_000 {
            model.step(faults: false)
            steps += 1
        }
        #expect(model.isDone, "seed \(seed): never done")
        #expect(model.acknowledged.count > 20, "seed \(seed): too little happened")
        #expect(Set(model.stored).count == model.stored.count, "seed \(seed): something twice")
        for (publish, place) in model.acknowledged { #expect(model.stored[place - 1] == publish, "seed \(seed): \(publish)") }
        for session in model.edges.indices {
            let numbers = model.stored.filter { $0.session == session }.compactMap { Int($0.key.split(separator: "-")[1]) }
            #expect(numbers == numbers.sorted(), "seed \(seed): session \(session): \(numbers)")
        }
    }
}
