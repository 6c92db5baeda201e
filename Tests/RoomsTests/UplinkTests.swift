import MeshCore
import Rooms
import Testing

/// An uplink with a clock and a source of generations.
private final class Level {
    typealias Action = Uplink<String>.Action
    var uplink = Uplink<String>()
    var now = Instant.zero
    private var generation: UInt64 = 0

    private func nextGeneration() -> UInt64 {
        generation += 1
        return generation
    }

    func want(_ interest: Interest) -> Action? { uplink.want(interest, now: now, nextGeneration: nextGeneration) }
    func place(_ place: Uplink<String>.Place, relinked: Bool = false) -> [Action] {
        uplink.placed(place, relinked: relinked, now: now, nextGeneration: nextGeneration)
    }
    func tick(afterMs: Int) -> Action? {
        now = now + .milliseconds(afterMs)
        return uplink.tick(now: now, linger: .seconds(5), retry: .milliseconds(500), nextGeneration: nextGeneration)
    }
    func joined(_ generation: UInt64) -> Bool { uplink.joined(generation: generation) }

    /// Live under "a" with generation 1.
    static func live(_ interest: Interest = .messages) -> Level {
        let level = Level()
        _ = level.place(.under("a"))
        _ = level.want(interest)
        _ = level.joined(1)
        return level
    }
}

@Suite("The uplink") struct UplinkTests {
    @Test("nobody wants anything: no join") func cold() {
        let level = Level()
        #expect(level.place(.under("a")) == [])
        #expect(level.want([]) == nil)
        #expect(level.tick(afterMs: 60_000) == nil)
        #expect(level.uplink.isSettled && !level.uplink.isLive && level.uplink.parent == "a")
        #expect(!level.uplink.covers(.messages))
    }

    @Test("the first interest joins, the answer makes it live") func join() {
        let level = Level()
        #expect(level.want(.messages) == nil, "there is no parent yet")
        #expect(!level.uplink.isSettled)
        #expect(level.place(.under("a")) == [.join("a", generation: 1, interest: .messages)])
        #expect(!level.uplink.covers(.messages) && !level.uplink.isLive && level.uplink.accepts(1))
        #expect(level.joined(1))
        #expect(level.uplink.covers(.messages) && !level.uplink.covers(.presence) && level.uplink.isLive && level.uplink.isSettled)
        #expect(level.place(.under("a")) == [], "nothing changed")
    }

    @Test("an answer counts once, and only to a join of this level") func answers() {
        let level = Level.live()
        #expect(!level.joined(1))
        #expect(!level.joined(9))
        #expect(level.uplink.covers(.messages))
    }

    @Test("more interest at the same parent keeps the old generation until the answer") func growth() {
        let level = Level.live()
        #expect(level.want([.messages, .presence]) == .join("a", generation: 2, interest: [.messages, .presence]))
        #expect(level.uplink.accepts(1) && level.uplink.accepts(2))
        #expect(level.uplink.covers(.messages) && !level.uplink.covers(.presence))
        #expect(level.joined(2))
        #expect(!level.uplink.accepts(1) && level.uplink.covers([.messages, .presence]))
    }

    @Test("no answer: asked again, and the answer to either counts") func retry() {
        let level = Level.live()
        _ = level.want([.messages, .presence])
        #expect(level.tick(afterMs: 499) == nil)
        #expect(level.tick(afterMs: 1) == .join("a", generation: 3, interest: [.messages, .presence]))
        #expect(level.uplink.accepts(1) && level.uplink.accepts(2) && level.uplink.accepts(3))
        #expect(level.joined(2))
        #expect(level.uplink.covers(.presence) && level.uplink.accepts(2) && level.uplink.accepts(3) && !level.uplink.accepts(1))
        #expect(level.joined(3))
        #expect(!level.uplink.accepts(2) && level.uplink.isSettled)
    }

    @Test("a late answer is none to what was asked since") func lateAnswer() {
        let level = Level.live()
        _ = level.want([.messages, .presence])
        _ = level.tick(afterMs: 500)
        #expect(level.joined(3))
        #expect(!level.joined(2))
        #expect(level.tick(afterMs: 5000) == nil)
    }

    @Test("asking goes on for ever and remembers a bounded number") func patience() {
        let level = Level()
        _ = level.place(.under("a"))
        _ = level.want(.messages)
        for generation in 2...40 { #expect(level.tick(afterMs: 500) == .join("a", generation: UInt64(generation), interest: .messages)) }
        #expect(!level.joined(1))
        #expect(level.joined(39))
        #expect(level.joined(40))
    }

    @Test("less interest waits for the linger, then asks for less; none leaves") func linger() {
        let level = Level.live([.messages, .presence])
        #expect(level.want(.messages) == nil)
        #expect(!level.uplink.isSettled && level.uplink.covers(.presence))
        #expect(level.tick(afterMs: 4999) == nil)
        #expect(level.tick(afterMs: 1) == .join("a", generation: 2, interest: .messages))
        #expect(level.joined(2))
        #expect(level.want([]) == nil)
        #expect(level.tick(afterMs: 5000) == .leave("a", generation: 2))
        #expect(!level.uplink.isLive && level.uplink.isSettled && !level.uplink.accepts(2))
    }

    @Test("interest that returns within the linger changes nothing") func returns() {
        let level = Level.live()
        #expect(level.want([]) == nil)
        #expect(level.tick(afterMs: 4000) == nil)
        #expect(level.want(.messages) == nil)
        #expect(level.tick(afterMs: 60_000) == nil)
        #expect(level.uplink.covers(.messages))
    }

    @Test("another parent: the old one is left, the new one joined, frames of the old are not taken") func moved() {
        let level = Level.live()
        #expect(level.place(.under("b")) == [.leave("a", generation: 1), .join("b", generation: 2, interest: .messages)])
        #expect(!level.uplink.accepts(1) && level.uplink.accepts(2) && !level.uplink.covers(.messages))
        #expect(level.joined(2))
    }

    @Test("moved before the answer: the join that was asked is left, and its answer is not taken") func movedEarly() {
        let level = Level.live()
        _ = level.want([.messages, .typing])
        #expect(level.place(.under("b")) == [.leave("a", generation: 2), .join("b", generation: 3, interest: [.messages, .typing])])
        #expect(!level.joined(2))
    }

    @Test("moved while lingering: what nobody wants is not asked for again") func movedLingering() {
        let level = Level.live([.messages, .presence])
        _ = level.want(.messages)
        #expect(level.place(.under("b")).last == .join("b", generation: 2, interest: .messages))
        #expect(level.joined(2))
        #expect(level.tick(afterMs: 60_000) == nil)
        _ = level.want([])
        #expect(level.place(.under("a")) == [.leave("b", generation: 2)])
        #expect(level.uplink.isSettled)
    }

    @Test("a link that came up again: joined anew with nothing assumed") func relinked() {
        let level = Level.live()
        level.uplink.unlink()
        #expect(!level.uplink.covers(.messages) && !level.uplink.isSettled)
        #expect(level.place(.under("a"), relinked: true) == [.join("a", generation: 2, interest: .messages)])
        #expect(!level.uplink.accepts(1))
        #expect(level.joined(2))
    }

    @Test("the root covers everything and joins nobody") func root() {
        let level = Level.live()
        #expect(level.place(.root) == [.leave("a", generation: 1)])
        #expect(level.uplink.covers([.messages, .presence, .typing, .receipts]) && level.uplink.isLive && level.uplink.isSettled)
        #expect(level.want([.messages, .presence]) == nil)
        #expect(level.tick(afterMs: 60_000) == nil)
        #expect(level.uplink.parent == nil)
        #expect(level.place(.under("b")) == [.join("b", generation: 2, interest: [.messages, .presence])])
        #expect(!level.uplink.covers(.messages))
    }

    @Test("no place: nothing is asked until there is one") func unknown() {
        let level = Level.live()
        #expect(level.place(.unknown) == [.leave("a", generation: 1)])
        #expect(level.tick(afterMs: 60_000) == nil)
        #expect(!level.uplink.isSettled)
        #expect(level.place(.under("a")) == [.join("a", generation: 2, interest: .messages)])
    }

    @Test("a refused first join is asked again") func refused() {
        let level = Level()
        _ = level.place(.under("a"))
        _ = level.want(.messages)
        level.uplink.refused(generation: 1)
        #expect(!level.uplink.accepts(1) && !level.uplink.isSettled)
        #expect(level.tick(afterMs: 499) == nil)
        #expect(level.tick(afterMs: 1) == .join("a", generation: 2, interest: .messages))
    }

    @Test("a refused join for more is asked again too, and what stood goes on") func refusedGrowth() {
        let level = Level.live()
        _ = level.want([.messages, .presence])
        level.uplink.refused(generation: 2)
        #expect(level.uplink.covers(.messages) && level.uplink.accepts(1) && !level.uplink.isSettled)
        #expect(level.tick(afterMs: 500) == .join("a", generation: 3, interest: [.messages, .presence]))
        level.uplink.refused(generation: 1)
        #expect(!level.uplink.covers(.messages))
    }
}

@Suite("Interest") struct InterestTests {
    @Test("the first adds, the last one removes") func counts() {
        var count = InterestCount()
        #expect(count.union == [])
        count.add([.messages, .typing])
        count.add([.messages, .presence, .receipts])
        #expect(count.union == [.messages, .presence, .typing, .receipts])
        count.remove([.messages, .typing])
        #expect(count.union == [.messages, .presence, .receipts])
        count.remove([.messages, .presence, .receipts])
        #expect(count.union == [])
    }
}
