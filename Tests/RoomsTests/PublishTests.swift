import MeshCore
import Rooms
import Testing

private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

@Suite("The edge's queue of publishes") struct PublishQueueTests {
    private func queue(_ texts: String..., startingAt number: UInt64 = 1) -> PublishQueue<String> {
        var queue = PublishQueue<String>(startingAt: number)
        for text in texts { _ = queue.add(text, now: at(0), deadline: at(30_000)) }
        return queue
    }

    @Test("numbers go on, the base is the first without an outcome") func numbers() {
        var queue = queue("a", "b", "c", startingAt: 7)
        #expect(queue.base == 7 && queue.count == 3)
        #expect(queue.settle(8) == "b")
        #expect(queue.settle(8) == nil)
        #expect(queue.base == 7)
        #expect(queue.settle(7) == "a")
        #expect(queue.base == 9)
        #expect(queue.settle(9) == "c")
        #expect(queue.base == 10 && queue.isEmpty)
        let next = queue.add("d", now: at(0), deadline: at(1))
        #expect(next.entry.number == 10 && next.base == 10)
        #expect(queue.pending(10) == "d" && queue.pending(9) == nil)
    }

    @Test("everything without an outcome is sent again, in order") func resend() {
        var queue = queue("a", "b", "c")
        _ = queue.settle(2)
        queue.markRefused()
        #expect(queue.isRefused)
        #expect(queue.resend(now: at(500)).map(\.number) == [1, 3])
        #expect(!queue.isRefused)
        #expect(!queue.isOverdue(now: at(999), after: .milliseconds(500)))
        #expect(queue.isOverdue(now: at(1000), after: .milliseconds(500)))
    }

    @Test("nothing waits: nothing is overdue") func empty() {
        var queue = PublishQueue<String>(startingAt: 1)
        #expect(!queue.isOverdue(now: at(99_999), after: .zero))
        #expect(queue.resend(now: at(0)).isEmpty)
        #expect(queue.expire(now: at(99_999)).isEmpty)
    }

    @Test("what is past its deadline is given up in order, and moves the base") func expire() {
        var queue = PublishQueue<String>(startingAt: 1)
        for (index, text) in ["a", "b", "c"].enumerated() { _ = queue.add(text, now: at(0), deadline: at(1000 * (index + 1))) }
        #expect(queue.expire(now: at(999)) == [])
        #expect(queue.expire(now: at(2000)) == ["a", "b"])
        #expect(queue.base == 3)
        #expect(queue.settle(1) == nil)
    }
}

/// A class: an expectation cannot hold a mutating call.
private final class Order {
    private var order: PublisherOrder<String>
    private var now = Instant.zero
    init(streamsMax: Int = 100) { order = PublisherOrder(streamsMax: streamsMax) }

    func admit(_ number: UInt64, base: UInt64, _ stream: String = "s") -> Bool {
        now = now + .milliseconds(1)
        return order.admit(stream, number: number, base: base, now: now)
    }
    func failed(_ number: UInt64, _ stream: String = "s") { order.failed(stream, number: number) }
}

@Suite("The root's order of a publisher") struct PublisherOrderTests {
    @Test("only the next number, and repeats") func next() {
        let order = Order()
        #expect(!order.admit(2, base: 1), "the first is missing")
        #expect(order.admit(1, base: 1))
        #expect(order.admit(2, base: 1))
        #expect(!order.admit(4, base: 1))
        #expect(order.admit(1, base: 1), "a repeat")
        #expect(order.admit(3, base: 1))
        #expect(order.admit(4, base: 1))
    }

    @Test("a root that starts takes the base of the edge") func start() {
        let order = Order()
        #expect(!order.admit(9, base: 8))
        #expect(order.admit(8, base: 8))
        #expect(order.admit(9, base: 8))
    }

    @Test("what the edge gave up is passed over, and is not taken any more if it comes late") func givenUp() {
        let order = Order()
        #expect(order.admit(1, base: 1))
        #expect(order.admit(5, base: 5))
        #expect(!order.admit(3, base: 1), "it would stand after the fifth")
        #expect(!order.admit(1, base: 1), "it has its outcome")
        #expect(order.admit(5, base: 5))
        #expect(order.admit(6, base: 5))
    }

    @Test("a base that is ahead does not let a later number pass") func baseAhead() {
        let order = Order()
        #expect(order.admit(1, base: 1))
        #expect(!order.admit(6, base: 5))
        #expect(order.admit(5, base: 5))
        #expect(order.admit(6, base: 5))
    }

    @Test("after a failed append nothing later passes before it is repeated or given up") func failed() {
        let order = Order()
        for number in 1...4 { #expect(order.admit(UInt64(number), base: 1)) }
        order.failed(2)
        order.failed(3)
        #expect(!order.admit(5, base: 1))
        #expect(!order.admit(3, base: 1))
        #expect(order.admit(2, base: 2))
        #expect(order.admit(3, base: 2))
        order.failed(3)
        #expect(order.admit(5, base: 5), "the edge gave up three and four")
        order.failed(1, "unknown")
        order.failed(1)
        #expect(order.admit(6, base: 5), "what is below the base does not matter any more")
    }

    @Test("streams do not wait for each other; the longest idle ones are forgotten at the bound") func bound() {
        let order = Order(streamsMax: 8)
        for index in 0..<8 { #expect(order.admit(1, base: 1, "s\(index)")) }
        #expect(order.admit(2, base: 2, "s0"))
        #expect(order.admit(1, base: 1, "new"))
        #expect(order.admit(3, base: 2, "s0"), "used last of the old ones")
        #expect(!order.admit(3, base: 2, "s1"), "forgotten: begins again at its base")
        #expect(order.admit(2, base: 2, "s1"))
    }
}

/// A class: an expectation cannot hold a mutating call.
private final class Log {
    var log: RootLog<Int>
    init(batchMax: Int = 256, batchBytesMax: Int = 1000, batchesMax: Int = 1) {
        log = RootLog(batchMax: batchMax, batchBytesMax: batchBytesMax, batchesMax: batchesMax)
    }

    func next() -> String {
        switch log.next() {
        case .open(let head): "open \(head) #\(log.currentAttempt)"
        case .append(let entries, let before): "append \(entries)\(before.map { " behind #\($0)" } ?? "") #\(log.currentAttempt)"
        case nil: ""
        }
    }
    func enqueue(_ entries: Int..., atMs ms: Int = 0) { for entry in entries { log.enqueue(entry, bytes: 10 * entry, now: at(ms)) } }
    func opened(_ seq: UInt64, _ attempt: UInt64) { log.opened(head: Position(epoch: 1, seq: seq), lastAt: 50, attempt: attempt) }
    func appended(_ seq: UInt64, _ attempt: UInt64, atMs ms: Int = 0) -> [Int]? {
        log.appended(newHead: Position(epoch: 1, seq: seq), now: at(ms), attempt: attempt)
    }
    func failed(_ attempt: UInt64) -> Bool { log.failed(attempt: attempt) }
    func stamp(_ ms: WallMilliseconds) -> WallMilliseconds { log.stamp(ms) }
    func giveUp(atMs ms: Int) -> [Int] { log.giveUp(now: at(ms), after: .seconds(1)) }

    static func open() -> Log {
        let log = Log()
        log.enqueue(1)
        _ = log.next()
        log.opened(10, 1)
        return log
    }
}

@Suite("The root's log") struct RootLogTests {
    @Test("opened before the first append; one append in flight; the rest in the next batch") func batches() {
        let log = Log(batchMax: 2)
        #expect(log.next() == "")
        log.enqueue(1)
        #expect(log.next() == "open 0-0 #1")
        #expect(log.next() == "")
        log.opened(10, 1)
        #expect(log.log.head == Position(epoch: 1, seq: 10) && log.log.lastAt == 50)
        #expect(log.next() == "append [1] #2")
        log.enqueue(2, 3, 4)
        #expect(log.next() == "")
        #expect(log.log.queued == 4)
        #expect(log.appended(11, 2) == [1])
        #expect(log.next() == "append [2, 3] #3")
        #expect(log.appended(13, 3) == [2, 3])
        #expect(log.next() == "append [4] #4")
        #expect(log.appended(14, 4) == [4])
        #expect(log.next() == "" && log.log.isIdle && log.log.state == .open)
        #expect(log.log.head == Position(epoch: 1, seq: 14))
    }

    @Test("a batch ends at its bytes; a single entry above them goes alone") func batchBytes() {
        let log = Log(batchBytesMax: 50)
        log.enqueue(1, 3, 2, 9, 1)
        _ = log.next()
        log.opened(10, 1)
        #expect(log.next() == "append [1, 3] #2")
        _ = log.appended(12, 2)
        #expect(log.next() == "append [2] #3")
        _ = log.appended(13, 3)
        #expect(log.next() == "append [9] #4")
        _ = log.appended(14, 4)
        #expect(log.next() == "append [1] #5")
    }

    /// With batches of two, of which two may be in flight.
    private func pipelined(_ entries: Int...) -> Log {
        let log = Log(batchMax: 2, batchesMax: 2)
        for entry in entries { log.enqueue(entry) }
        _ = log.next()
        log.opened(10, 1)
        return log
    }

    @Test("a full batch goes behind the one in flight, one that is not full waits") func pipelining() {
        let log = pipelined(1, 2, 3)
        #expect(log.next() == "append [1, 2] #2")
        #expect(log.next() == "")
        log.enqueue(4, 5, 6, 7)
        #expect(log.next() == "append [3, 4] behind #2 #3")
        #expect(log.next() == "", "two are in flight")
        #expect(log.log.queued == 7)
        #expect(log.appended(13, 3) == nil, "the first has no answer yet")
        #expect(log.appended(12, 2) == [1, 2])
        #expect(log.log.state == .appending)
        #expect(log.next() == "append [5, 6] behind #3 #4")
        #expect(log.appended(14, 3) == [3, 4])
        #expect(log.next() == "", "seven waits for more")
        #expect(log.appended(16, 4) == [5, 6])
        #expect(log.next() == "append [7] #5")
        #expect(log.appended(17, 5) == [7] && log.log.isIdle && log.log.state == .open)
    }

    @Test("bytes fill a batch too") func pipelinedBytes() {
        let log = Log(batchBytesMax: 50, batchesMax: 2)
        log.enqueue(1)
        _ = log.next()
        log.opened(10, 1)
        #expect(log.next() == "append [1] #2")
        log.enqueue(2, 3)
        #expect(log.next() == "")
        log.enqueue(1)
        #expect(log.next() == "append [2, 3] behind #2 #3")
    }

    @Test("whatever was in flight is sent again in order") func pipelinedFailure() {
        let log = pipelined(1, 2, 3, 4, 5)
        #expect(log.next() == "append [1, 2] #2")
        #expect(log.next() == "append [3, 4] behind #2 #3")
        #expect(log.failed(2))
        #expect(!log.failed(2) && !log.failed(3), "the other's answer comes too late")
        #expect(log.appended(12, 2) == nil && log.appended(14, 3) == nil)
        #expect(log.next() == "open 1-10 #4")
        log.opened(12, 4)
        #expect(log.next() == "append [1, 2] #5")
        #expect(log.next() == "append [3, 4] behind #5 #6")
        #expect(log.appended(12, 5) == [1, 2])
        #expect(log.next() == "")
        #expect(log.appended(14, 6) == [3, 4])
        #expect(log.next() == "append [5] #7")
    }

    @Test("one that was refused without the store does not spoil the one before it") func refusedBehind() {
        let log = pipelined(1, 2, 3, 4, 5)
        _ = (log.next(), log.next())
        #expect(log.failed(3))
        #expect(log.log.state == .appending && log.log.queued == 5)
        #expect(log.next() == "append [3, 4] behind #2 #4")
        #expect(log.failed(4))
        #expect(log.appended(12, 2) == [1, 2])
        #expect(log.next() == "append [3, 4] #5")
        #expect(log.appended(14, 3) == nil && log.appended(14, 4) == nil)
        #expect(log.appended(14, 5) == [3, 4])
    }

    @Test("both batches are given up, before what waits") func pipelinedGiveUp() {
        let log = pipelined(1, 2, 3, 4, 5)
        _ = (log.next(), log.next())
        #expect(log.giveUp(atMs: 1000) == [1, 2, 3, 4, 5])
        #expect(log.appended(12, 2) == nil && log.log.isIdle && log.log.queued == 0)
        log.enqueue(6, 7, 8)
        #expect(log.next() == "open 1-10 #5")
    }

    @Test("an unknown outcome: opened anew, and the same batch again before anything later") func unknownOutcome() {
        let log = Log.open()
        #expect(log.next() == "append [1] #2")
        log.enqueue(2)
        _ = log.failed(2)
        #expect(log.log.state == .closed)
        #expect(log.next() == "open 1-10 #3")
        log.opened(11, 3)
        #expect(log.next() == "append [1] #4")
        #expect(log.appended(11, 4) == [1])
        #expect(log.next() == "append [2] #5")
    }

    @Test("late answers are none") func lateAnswers() {
        let log = Log.open()
        _ = log.next()
        _ = log.failed(1)
        #expect(log.log.state == .appending, "the answer to the opening, again")
        _ = log.failed(2)
        _ = log.next()
        #expect(log.appended(11, 2) == nil)
        log.opened(99, 2)
        #expect(log.log.state == .opening && log.log.head.seq == 10)
        log.opened(10, 3)
        _ = log.next()
        #expect(log.appended(11, 2) == nil)
        #expect(log.appended(11, 4) == [1])
        #expect(log.appended(11, 4) == nil)
        _ = log.failed(4)
        #expect(log.log.state == .open)
    }

    @Test("an opening that failed is tried again on the next call") func failedOpening() {
        let log = Log()
        log.enqueue(1)
        _ = log.next()
        _ = log.failed(1)
        #expect(log.next() == "open 0-0 #2")
    }

    @Test("invalidated while appending: the batch is repeated after a new opening") func invalidated() {
        let log = Log.open()
        _ = log.next()
        log.log.invalidate()
        #expect(log.appended(11, 2) == nil)
        #expect(log.next() == "open 1-10 #4")
        log.log.invalidate()
        log.opened(11, 4)
        #expect(log.log.state == .closed)
        #expect(log.next() == "open 1-10 #6")
        log.opened(11, 6)
        #expect(log.next() == "append [1] #7")
    }

    @Test("the head can be asked for without a publish") func needHead() {
        let log = Log()
        guard case .open = log.log.needHead() else {
            Issue.record("no opening")
            return
        }
        #expect(log.log.needHead() == nil)
        log.opened(10, 1)
        #expect(log.log.needHead() == nil && log.log.state == .open && log.next() == "")
    }

    @Test("given up after the bound, in order, and a late success is none") func giveUp() {
        let log = Log.open()
        _ = log.next()
        log.enqueue(2, 3, atMs: 900)
        #expect(log.giveUp(atMs: 999) == [])
        #expect(log.giveUp(atMs: 1000) == [1, 2, 3])
        #expect(log.appended(11, 2) == nil)
        #expect(log.giveUp(atMs: 9000) == [])
        #expect(log.log.isIdle && log.log.state == .closed && log.next() == "")
        log.enqueue(4, atMs: 9000)
        #expect(log.next() == "open 1-10 #4")
        #expect(log.giveUp(atMs: 9999) == [])
    }

    @Test("what waits behind a batch that was slow has the bound to itself") func waitingSince() {
        let log = Log.open()
        _ = log.next()
        log.enqueue(2, atMs: 100)
        #expect(log.appended(11, 2, atMs: 900) == [1])
        _ = log.next()
        #expect(log.giveUp(atMs: 1800) == [])
        #expect(log.giveUp(atMs: 1900) == [2])
    }

    @Test("what waits because nobody may go on is given up too") func waitingForNobody() {
        let log = Log.open()
        _ = log.next()
        log.enqueue(2, atMs: 100)
        #expect(log.appended(11, 2, atMs: 900) == [1] && log.log.state == .open)
        #expect(log.giveUp(atMs: 1899) == [] && log.giveUp(atMs: 1900) == [2])
        #expect(log.log.state == .open && log.log.isIdle)
    }

    @Test("all of it is given up when the root moves") func giveUpAll() {
        let log = Log.open()
        _ = log.next()
        log.enqueue(2)
        #expect(log.log.giveUpAll() == [1, 2])
        #expect(log.log.giveUpAll() == [])
        #expect(log.log.state == .closed)
    }

    @Test("time never goes back in a room; the head does not either") func monotonic() {
        let log = Log.open()
        #expect(log.stamp(40) == 50)
        #expect(log.stamp(70) == 70)
        #expect(log.stamp(60) == 70)
        _ = log.next()
        _ = log.appended(9, 2)
        #expect(log.log.head.seq == 10 && log.log.lastAt == 70)
    }
}
