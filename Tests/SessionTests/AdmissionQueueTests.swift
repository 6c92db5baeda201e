import MeshCore
import Session
import Testing

@Suite("Admission of hellos") struct AdmissionQueueTests {
    private typealias Queue = AdmissionQueue<Int>

    private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }
    private func queue(_ perSecond: Int) -> Queue { Queue(.init(perSecond: perSecond), now: .zero, seed: 3) }

    @Test("a burst is taken at once, the rest at the pace of the bucket") func pace() {
        var queue = queue(100)
        let atOnce = (0..<80).flatMap { queue.arrive($0, .join, bytes: 1, now: .zero).admitted }
        #expect(atOnce == Array(0..<50))
        #expect(queue.count == 30 && queue.nextWake(after: .zero) == at(10))
        #expect(queue.advance(now: at(100)).admitted == Array(50..<60))
        #expect(queue.advance(now: at(105)).admitted.isEmpty)
        #expect(queue.advance(now: at(300)).admitted == Array(60..<80))
        #expect(queue.nextWake(after: at(300)) == nil)
    }

    @Test("resumes go before joins, each in their order") func resumesFirst() {
        var queue = queue(10)
        for join in 0..<5 { _ = queue.arrive(join, .join, bytes: 1, now: .zero) }
        for comer in 10..<20 { #expect(queue.arrive(comer, comer % 2 == 0 ? .join : .resume, bytes: 1, now: .zero).admitted.isEmpty) }
        #expect(queue.advance(now: at(1_000)).admitted == [11, 13, 15, 17, 19])
        #expect(queue.advance(now: at(1_500)).admitted == [10, 12, 14, 16, 18])
    }

    @Test("who cannot be served within two seconds is refused, joins first") func refusals() {
        var queue = queue(10)
        for join in 0..<5 { _ = queue.arrive(join, .join, bytes: 1, now: .zero) }
        for join in 100..<120 { #expect(queue.arrive(join, .join, bytes: 1, now: .zero).refused.isEmpty) }
        #expect(queue.arrive(120, .join, bytes: 1, now: .zero).refused.map(\.comer) == [120])
        #expect(queue.arrive(200, .resume, bytes: 1, now: .zero).refused.map(\.comer) == [119], "the newest join makes room")
        for resume in 201..<220 { #expect(queue.arrive(resume, .resume, bytes: 1, now: .zero).refused.count == 1) }
        #expect(queue.arrive(220, .resume, bytes: 1, now: .zero).refused.map(\.comer) == [220], "there is no join left to make room")
        #expect(queue.advance(now: at(1_000)).admitted == Array(200..<205))
    }

    @Test("a join that resumes hold back is refused when its time is up") func starvation() {
        var queue = queue(10)
        for join in 0..<6 { _ = queue.arrive(join, .join, bytes: 1, now: .zero) }
        _ = queue.arrive(100, .resume, bytes: 1, now: .zero)
        for step in 1...30 {
            // One is served, the next one comes.
            let decision = queue.arrive(100 + step, .resume, bytes: 1, now: at(100 * step))
            #expect(decision.admitted == [99 + step])
            if decision.refused.map(\.comer) == [5] { return #expect(step == 20) }
            #expect(decision.refused.isEmpty)
        }
        Issue.record("the join was neither served nor refused")
    }

    @Test("slots lie one behind the other, at most half a minute ahead") func slots() {
        var queue = queue(100)
        for comer in 0..<250 { _ = queue.arrive(comer, .join, bytes: 1, now: .zero) }
        var slots: [TimeSpan] = []
        for comer in 0..<5_000 { slots += queue.arrive(comer, .join, bytes: 1, now: .zero).refused.map(\.after) }
        #expect(slots.count == 5_000)
        let firstRound = slots.prefix(2_800)
        #expect(zip(firstRound, firstRound.dropFirst()).allSatisfy { $0 < $1 }, "each later than the one before")
        #expect(slots.allSatisfy { $0 >= .seconds(2) && $0 <= .seconds(30) }, "behind those who wait")
        let perSecond = Dictionary(grouping: slots) { $0.milliseconds / 1000 }.mapValues(\.count)
        #expect(perSecond.values.allSatisfy { $0 <= 201 }, "evenly spread: \(perSecond)")
        #expect(Set(slots.prefix(100).map { $0.nanoseconds % 10_000_000 }).count > 90, "with jitter")
    }

    @Test("slots are given anew as time passes") func slotsMoveOn() {
        var queue = queue(100)
        for comer in 0..<300 { _ = queue.arrive(comer, .join, bytes: 1, now: .zero) }
        for step in 1...100 { #expect(queue.advance(now: at(100 * step)).refused.isEmpty) }
        for comer in 0..<300 { _ = queue.arrive(comer, .join, bytes: 1, now: at(10_000)) }
        let slot = queue.arrive(0, .join, bytes: 1, now: at(10_000)).refused.first?.after ?? .zero
        #expect(slot >= .seconds(2) && slot < .seconds(3))
    }

    @Test("bytes are bounded too") func bytes() {
        var settings = Queue.Settings(perSecond: 10)
        settings.bytesMax = 100
        var queue = Queue(settings, now: .zero, seed: 3)
        for join in 0..<5 { _ = queue.arrive(join, .join, bytes: 1_000, now: .zero) }
        #expect(queue.arrive(5, .join, bytes: 60, now: .zero).refused.isEmpty)
        #expect(queue.arrive(6, .join, bytes: 60, now: .zero).refused.map(\.comer) == [6])
        #expect(queue.arrive(7, .resume, bytes: 60, now: .zero).refused.map(\.comer) == [5])
        #expect(queue.advance(now: at(100)).admitted == [7])
        #expect(queue.arrive(8, .join, bytes: 100, now: at(100)).refused.isEmpty)
    }

    @Test("the place of one who has gone is the next one's") func refund() {
        var queue = queue(10)
        for join in 0..<7 { _ = queue.arrive(join, .join, bytes: 1, now: .zero) }
        #expect(queue.advance(now: .zero).admitted.isEmpty)
        queue.refund()
        #expect(queue.advance(now: .zero).admitted == [5])
    }

    /// Whatever comes: everybody is admitted or refused exactly once, nobody waits longer than the bound allows, and the pace holds.
    @Test("any storm", arguments: 0..<20) func storm(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let perSecond = Int.random(in: 1...200, using: &random)
        var queue = queue(perSecond)
        var arrived: [Int: Int] = [:]
        var ended: [Int] = []
        var admitted = 0
        func note(_ decision: Queue.Decision, _ now: Int) {
            admitted += decision.admitted.count
            for comer in decision.admitted + decision.refused.map(\.comer) {
                ended.append(comer)
                #expect(now - (arrived[comer] ?? 0) <= 2_000 + 50, "seed \(seed)")
            }
        }
        for step in 0..<400 {
            let now = step * 50
            note(queue.advance(now: at(now)), now)
            for _ in 0..<Int.random(in: 0...max(1, perSecond / 5), using: &random) {
                let comer = arrived.count
                arrived[comer] = now
                note(queue.arrive(comer, Bool.random(using: &random) ? .resume : .join, bytes: 1, now: at(now)), now)
            }
            #expect(admitted <= perSecond / 2 + 1 + now * perSecond / 1_000 + 1, "seed \(seed)")
        }
        note(queue.advance(now: at(20_000)), 20_000)
        note(queue.advance(now: at(30_000)), 20_000)
        #expect(ended.count == arrived.count && Set(ended).count == ended.count, "seed \(seed)")
    }
}
