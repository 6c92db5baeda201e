import MeshCore
import Testing

@Suite("Positions and fences") struct PositionTests {
    private func at(_ epoch: UInt64, _ seq: UInt64) -> Position { Position(epoch: epoch, seq: seq) }

    @Test("epoch first, then seq") func order() {
        #expect(at(1, 9) < at(2, 1))
        #expect(at(1, 1) < at(1, 2))
        #expect(!(at(2, 1) < at(1, 9)))
        #expect(Position.zero < at(0, 1))
        #expect(Fence(viewEpoch: 1, rosterVersion: 9) < Fence(viewEpoch: 2, rosterVersion: 0))
        #expect(Fence(viewEpoch: 1, rosterVersion: 1) < Fence(viewEpoch: 1, rosterVersion: 2))
    }

    @Test("what follows with nothing in between") func follows() {
        #expect(at(1, 4).isFollowed(by: at(1, 5)))
        #expect(!at(1, 4).isFollowed(by: at(1, 6)))
        #expect(!at(1, 4).isFollowed(by: at(1, 4)))
        #expect(!at(1, 4).isFollowed(by: at(1, 3)))
        #expect(at(1, 4).isFollowed(by: at(2, 5)), "seq goes on across epochs")
        #expect(!at(1, 4).isFollowed(by: at(2, 7)), "5 and 6 are missing, of whichever epoch")
        #expect(at(1, 4).isFollowed(by: at(2, 1)), "a log that begins anew")
        #expect(!at(1, 4).isFollowed(by: at(2, 3)))
        #expect(!at(2, 4).isFollowed(by: at(1, 5)))
        #expect(Position.zero.isFollowed(by: at(1, 500)))
        #expect(!Position.zero.isFollowed(by: .zero))
    }

    @Test("the largest numbers of a peer do not trap") func extremes() {
        #expect(!at(1, .max).isFollowed(by: at(1, 0)))
        #expect(at(.max, .max).successor == at(.max, .max))
        #expect(at(3, 7).successor == at(3, 8))
    }

    @Test(
        "text and back",
        arguments: [("0-0", true), ("18446744073709551615-2", true), ("1", false), ("-1-2", false), ("1-", false), ("a-1", false)])
    func text(_ text: String, _ isPosition: Bool) {
        #expect(Position(text)?.description == (isPosition ? text : nil))
    }
}

@Suite("Times") struct TimeTests {
    @Test("arithmetic and order") func arithmetic() {
        #expect(TimeSpan.seconds(2) == .milliseconds(2000))
        #expect(TimeSpan.seconds(1) + .milliseconds(500) == .milliseconds(1500))
        #expect(TimeSpan.seconds(3) / 2 == .milliseconds(1500))
        #expect(TimeSpan.milliseconds(3) * 4 == .milliseconds(12))
        #expect(TimeSpan.milliseconds(1) < .milliseconds(2))
        #expect(TimeSpan(nanoseconds: 1_999_999).milliseconds == 1)
        #expect("\(TimeSpan.seconds(1))" == "1000 ms")
    }

    @Test("points in time") func instants() {
        let start = Instant(nanoseconds: 5)
        #expect(start + .milliseconds(1) == Instant(nanoseconds: 1_000_005))
        #expect((start + .seconds(1)) - start == .seconds(1))
        #expect(start - (start + .seconds(1)) == TimeSpan(nanoseconds: -1_000_000_000))
        #expect(start < start + .milliseconds(1))
    }
}

@Suite("Back-off") struct BackoffTests {
    @Test("waits double within their bounds, and jitter covers the upper half") func bounds() {
        var random = SeededRandom(seed: 1)
        var backoff = Backoff(least: .milliseconds(100), most: .seconds(1))
        for round in 0..<200 {
            for delayMs in [100, 200, 400, 800, 1000, 1000] {
                let wait = backoff.next(using: &random)
                #expect(wait >= .milliseconds(delayMs / 2) && wait < .milliseconds(delayMs), "round \(round)")
            }
            backoff.reset()
        }
    }

    @Test("two with different seeds do not come back together") func jitter() {
        var (a, b) = (SeededRandom(seed: 1), SeededRandom(seed: 2))
        var (first, second) = (Backoff(least: .seconds(1), most: .seconds(8)), Backoff(least: .seconds(1), most: .seconds(8)))
        for _ in 0..<10 { #expect(first.next(using: &a) != second.next(using: &b)) }
    }

    @Test("the shortest possible one") func shortest() {
        var random = SeededRandom(seed: 1)
        var backoff = Backoff(least: TimeSpan(nanoseconds: 1), most: TimeSpan(nanoseconds: 1))
        #expect(backoff.next(using: &random) == .zero)
    }
}

@Suite("Numbers that are the same everywhere") struct StableNumbersTests {
    @Test("SplitMix64's published sequence") func random() {
        var zero = SeededRandom(seed: 0)
        #expect([zero.next(), zero.next(), zero.next()] == [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F])
        var other = SeededRandom(seed: 1_234_567)
        #expect([other.next(), other.next()] == [0x599E_D017_FB08_FC85, 0x2C73_F084_5854_0FA5])
    }

    @Test("hashes of names", arguments: [("", 0xF52A_15E9_A9B5_E89B), ("lobby", 0x9CEF_5397_B504_887D), ("größe", 0xBE90_79C1_B7E5_AFE8)])
    func hash(_ text: String, _ expected: UInt64) { #expect(stableHash(text) == expected) }
}

@Suite("Figures") struct FiguresTests {
    @Test("each latency falls into the first bucket that holds it") func histogram() {
        var histogram = LatencyHistogram()
        for microseconds in [0, 100, 101, 2_500_000, 2_500_001] { histogram.record(TimeSpan(nanoseconds: Int64(microseconds) * 1000)) }
        histogram.record(TimeSpan(nanoseconds: -5))
        #expect(histogram.buckets.first == 3)
        #expect(histogram.buckets[1] == 1)
        #expect(histogram.buckets.suffix(2) == [1, 1])
        #expect(histogram.count == 6)
        #expect(histogram.sumMicroseconds == 5_000_202)
        var sum = histogram
        sum.add(histogram)
        #expect(sum.count == 12 && sum.buckets.reduce(0, +) == 12 && sum.sumMicroseconds == 10_000_404)
    }

    @Test("drops by reason add up") func drops() {
        var ledger = DropLedger()
        for reason in DropReason.allCases { ledger.count(reason) }
        ledger.count(.fenced, 4)
        var sum = ledger
        sum.add(ledger)
        for reason in DropReason.allCases { #expect(sum[reason] == (reason == .fenced ? 10 : 2)) }
        #expect(Set(DropReason.allCases.map(\.rawValue)).count == DropReason.allCases.count)
    }
}

@Suite("Identifiers") struct IdentifierTests {
    @Test("a node's text and back") func nodes() {
        let node = NodeID(region: RegionID("eu-west"), name: "a/b")
        #expect(NodeID("eu-west/a/b") == node)
        #expect(node.description == "eu-west/a/b")
        for text in ["", "eu-west", "/a", "eu-west/"] { #expect(NodeID(text) == nil) }
        #expect("\(NodeBoot(node: node, boot: 7))" == "eu-west/a/b#7")
    }

    @Test("region first, then name") func order() {
        let names = ["b/a", "a/b", "a/a"].compactMap { NodeID($0) }
        #expect(names.sorted().map(\.description) == ["a/a", "a/b", "b/a"])
    }
}
