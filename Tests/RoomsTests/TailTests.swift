import MeshCore
import Testing

@testable import Rooms

private func at(_ seq: UInt64, epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

private func makeTail(_ seqs: ClosedRange<UInt64>, head: Position = at(10), messagesMax: Int = 100, bytesMax: Int = 1000) -> Tail<String> {
    var tail = Tail<String>(messagesMax: messagesMax, bytesMax: bytesMax)
    tail.begin(at: head)
    for seq in seqs { tail.append(at(seq), "\(seq)", bytes: 10, now: .zero) }
    return tail
}

private func texts(_ page: ReplayPage<String>?) -> [String]? { page.map { $0.messages.map(\.1) } }

@Suite("The tail of a room") struct TailTests {
    private let limits = ReplayPageLimits(messagesMax: 3, bytesMax: 1000)

    @Test("serves what follows a position that it knows, page by page") func pages() {
        let tail = makeTail(11...15)
        let first = tail.page(.after(at(10)), limits)
        #expect(texts(first) == ["11", "12", "13"] && first?.hasMore == true && first?.reached == at(13) && first?.head == at(15))
        let second = tail.page(.after(at(13)), limits)
        #expect(texts(second) == ["14", "15"] && second?.hasMore == false && second?.recovered == true)
        let third = tail.page(.after(at(15)), limits)
        #expect(texts(third) == [] && third?.reached == at(15))
    }

    @Test("does not judge positions that are no place in it") func unknown() {
        let tail = makeTail(11...15)
        #expect(tail.page(.after(at(9)), limits) == nil)
        #expect(tail.page(.after(at(16)), limits) == nil)
        #expect(tail.page(.after(at(12, epoch: 2)), limits) == nil)
        #expect(tail.page(.after(.zero), limits) == nil)
        #expect(Tail<String>(messagesMax: 1, bytesMax: 1).page(.after(at(1)), limits) == nil)
    }

    @Test("a position of an older epoch that was not the last one is unknown") func epochs() {
        var tail = makeTail(11...12)
        tail.append(at(13, epoch: 2), "13", bytes: 10, now: .zero)
        #expect(texts(tail.page(.after(at(12)), limits)) == ["13"])
        #expect(tail.page(.after(at(13)), limits) == nil)
    }

    @Test("the last messages, if there are as many") func last() {
        let tail = makeTail(11...15)
        #expect(texts(tail.page(.last(2), limits)) == ["14", "15"])
        #expect(texts(tail.page(.last(0), limits)) == [])
        #expect(tail.page(.last(6), limits) == nil)
        let whole = makeTail(1...2, head: .zero)
        #expect(texts(whole.page(.last(6), limits)) == ["1", "2"])
        #expect(texts(whole.page(.after(.zero), limits)) == ["1", "2"])
    }

    @Test("keeps at most its limits, the newest") func bounds() {
        let byCount = makeTail(11...20, messagesMax: 4)
        #expect(byCount.count == 4 && byCount.start == at(16) && byCount.head == at(20))
        let byBytes = makeTail(11...20, bytesMax: 35)
        #expect(byBytes.count == 3 && byBytes.bytes == 30 && byBytes.start == at(17))
        var large = makeTail(11...12, bytesMax: 35)
        large.append(at(13), "large", bytes: 100, now: .zero)
        #expect(large.count == 0 && large.start == at(13) && large.bytes == 0)
    }

    @Test("a page ends at its bytes, but holds one message at least") func pageBytes() {
        let tail = makeTail(11...15)
        #expect(texts(tail.page(.after(at(10)), .init(messagesMax: 9, bytesMax: 25))) == ["11", "12"])
        #expect(texts(tail.page(.after(at(10)), .init(messagesMax: 9, bytesMax: 1))) == ["11"])
    }

    @Test("has no holes: what does not follow begins anew") func holes() {
        var tail = makeTail(11...12)
        tail.append(at(15), "15", bytes: 10, now: .zero)
        #expect(tail.count == 1 && tail.start == at(14) && tail.page(.after(at(12)), limits) == nil)
        tail.append(at(15), "again", bytes: 10, now: .zero)
        #expect(tail.count == 1)
        tail.skip(to: at(20))
        #expect(tail.count == 0 && tail.head == at(20))
        tail.begin(at: at(20))
        #expect(tail.head == at(20))
        tail.begin(at: at(30))
        #expect(tail.start == at(30))
    }

    @Test("what passed long ago is forgotten; the head is not") func age() {
        var tail = makeTail(11...12)
        tail.append(at(13), "13", bytes: 10, now: .zero + .seconds(50))
        tail.expire(before: .zero + .seconds(40))
        #expect(tail.count == 1 && tail.bytes == 10 && tail.start == at(12) && tail.page(.after(at(11)), limits) == nil)
        tail.expire(before: .zero + .seconds(60))
        #expect(tail.count == 0 && tail.head == at(13))
    }
}

@Suite("What a level can replay by itself") struct ReplayShelfTests {
    private func makePage(_ seqs: ClosedRange<UInt64>, recovered: Bool = true) -> ReplayPage<String> {
        var items = seqs.map { ReplayPage<String>.Item.message(at($0), "\($0)") }
        if !recovered { items.insert(.gap(from: at(1), to: at(seqs.lowerBound - 1)), at: 0) }
        return ReplayPage(items: items, recovered: recovered, reached: at(seqs.upperBound), head: at(100))
    }

    private func makeShelf() -> ReplayShelf<String> { ReplayShelf(tail: Tail(messagesMax: 10, bytesMax: 1000)) }

    @Test("readers near one another wait for one request and are served from its page") func shared() {
        var shelf = makeShelf()
        #expect(shelf.fly(.after(at(10))) == (.after(at(10)), true))
        #expect(shelf.fly(.after(at(10))) == (.after(at(10)), false))
        #expect(shelf.fly(.after(at(14))) == (.after(at(10)), false))
        #expect(shelf.fly(.after(at(9))) == (.after(at(9)), true))
        #expect(shelf.fly(.after(at(400))) == (.after(at(400)), true))
        #expect(shelf.fly(.last(5)) == (.last(5), true))
        _ = shelf.landed(.after(at(10)), makePage(11...20), bytes: 10, now: .zero)
        #expect(texts(shelf.page(.after(at(10))))?.count == 10)
        #expect(texts(shelf.page(.after(at(14)))) == ["15", "16", "17", "18", "19", "20"])
        #expect(shelf.page(.after(at(20))) == nil)
        _ = shelf.landed(.after(at(9)), nil, bytes: 10, now: .zero)
        #expect(shelf.fly(.after(at(10))).isNew)
    }

    @Test("a page with a gap serves those who start before it with the gap, those after it without") func gap() {
        var shelf = makeShelf()
        _ = shelf.fly(.after(at(0)))
        _ = shelf.landed(.after(at(0)), makePage(5...8, recovered: false), bytes: 10, now: .zero)
        #expect(shelf.page(.after(at(0)))?.recovered == false)
        #expect(shelf.page(.after(at(4)))?.recovered == true)
        #expect(shelf.page(.after(at(2))) == nil)
    }

    @Test("pages are kept for a moment only, and only some") func bounds() {
        var shelf = makeShelf()
        _ = shelf.fly(.last(3))
        _ = shelf.landed(.last(3), makePage(5...8), bytes: 10, now: .zero)
        #expect(shelf.page(.last(3)) != nil)
        shelf.expire(now: .zero + ReplayShelf<String>.keptFor)
        #expect(shelf.isEmpty)
        for number in 0..<100 {
            _ = shelf.fly(.last(number))
            _ = shelf.landed(.last(number), makePage(5...8), bytes: 10, now: .zero)
        }
        #expect(shelf.page(.last(0)) == nil && shelf.page(.last(99)) != nil && shelf.pageBytes == 160)
        shelf.forget()
        #expect(shelf.isEmpty && shelf.page(.last(99)) == nil)
    }

    @Test("what was asked for before everything was forgotten is neither kept nor told") func forgottenMeanwhile() {
        var shelf = makeShelf()
        _ = shelf.fly(.last(1))
        shelf.forget()
        let isToBeTold = shelf.landed(.last(1), makePage(5...8), bytes: 10, now: .zero)
        #expect(!isToBeTold && shelf.isEmpty && shelf.pageBytes == 0)
        _ = shelf.fly(.last(1))
        let isFresh = shelf.landed(.last(1), makePage(5...8), bytes: 10, now: .zero)
        #expect(isFresh && shelf.pageBytes == 10)
        _ = shelf.fly(.last(2))
        let isTold = shelf.landed(.last(2), makePage(5...8), bytes: nil, now: .zero)
        #expect(isTold && shelf.pageBytes == 10 && shelf.page(.last(2)) == nil)
    }

    @Test("what could not be had is asked for again") func failed() {
        var shelf = makeShelf()
        _ = shelf.fly(.last(1))
        _ = shelf.landed(.last(1), nil, bytes: 10, now: .zero)
        #expect(shelf.page(.last(1)) == nil && shelf.fly(.last(1)).isNew)
    }
}

@Suite("When heads are announced") struct HeadAnnouncerTests {
    @Test("a while after a change, once more, and then no more") func twice() {
        var heads = HeadAnnouncer()
        #expect(heads.isQuiet)
        heads.changed(now: .zero)
        var told: [Int] = []
        for tick in 0..<30 where heads.takeDue(now: .zero + .milliseconds(100) * tick) { told.append(tick) }
        #expect(told == [4, 8] && heads.isQuiet)
    }

    @Test("while messages flow, at every period, and once more at the end") func flowing() {
        var heads = HeadAnnouncer()
        var told: [Int] = []
        for tick in 0..<40 {
            let now = Instant.zero + .milliseconds(100) * tick
            if tick <= 20 { heads.changed(now: now) }
            if heads.takeDue(now: now) { told.append(tick) }
        }
        #expect(told == [4, 8, 12, 16, 20, 24] && heads.isQuiet)
    }
}
