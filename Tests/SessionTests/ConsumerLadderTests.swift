import Session
import Testing

@Suite("The ladder of a slow consumer") struct ConsumerLadderTests {
    private let ladder = ConsumerLadder(outboxBytesMax: 3200)

    @Test("the more waits, the less is given") func steps() {
        let bytes = [0, 200, 201, 400, 401, 800, 801, 3200, 3201]
        let stages = bytes.map { ladder.stage(waiting: $0) }
        #expect(stages == [.live, .live, .shedding, .shedding, .folding, .folding, .pulling, .pulling, .closing])
        #expect(ConsumerStage.allCases.sorted() == ConsumerStage.allCases)
    }

    @Test("it comes back only when nearly everything has drained") func drained() {
        #expect(ladder.isDrained(waiting: 100))
        #expect(!ladder.isDrained(waiting: 101))
        #expect(ladder.stage(waiting: ladder.drainedBytes) == .live)
    }
}
