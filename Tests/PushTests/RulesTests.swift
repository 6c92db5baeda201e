import MeshCore
import Push
import Testing

@Suite struct RulesTests {
    private let rules = PushRules(
        triesMax: 10, ageMax: .seconds(600), refusalsMax: 3, retryLeast: .seconds(1), retryMost: .seconds(60))

    @Test("what follows from an outcome") func verdicts() {
        let retry = PushOutcome.retry(after: nil, reason: "")
        let refused = PushOutcome.refused(reason: "")
        let cases: [(PushOutcome, Int, Int, PushRules.Verdict)] = [
            (.done, 99, 9_999, .done), (.gone, 1, 0, .gone), (.rejected(reason: ""), 1, 0, .rejected),
            (retry, 1, 0, .retry), (retry, 9, 599, .retry), (retry, 10, 0, .givenUp), (retry, 1, 600, .givenUp),
            (refused, 1, 0, .retry), (refused, 2, 0, .retry), (refused, 3, 0, .rejected), (refused, 2, 600, .givenUp),
        ]
        for (outcome, claim, age, verdict) in cases {
            #expect(rules.verdict(outcome, claim: claim, age: .seconds(age)) == verdict, "\(outcome), claim \(claim), \(age) s")
        }
        #expect(!rules.isTooOld(.seconds(599)) && rules.isTooOld(.seconds(600)))
    }

    @Test("the wait doubles to its bound, with jitter, and is never below what was asked for") func delays() {
        var random = SeededRandom(seed: 42)
        for (claim, most) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1_000, 60)] {
            let drawn = (0..<50).map { _ in rules.delay(claim: claim, asked: nil, using: &random) }
            #expect(drawn.allSatisfy { $0 >= .milliseconds(500 * most) && $0 <= .seconds(most) }, "claim \(claim)")
            #expect(Set(drawn).count > 10)
        }
        #expect(rules.delay(claim: 1, asked: .seconds(30), using: &random) == .seconds(30))
        #expect(rules.delay(claim: 7, asked: .seconds(1), using: &random) >= .seconds(30))
        #expect(rules.delay(claim: 1, asked: .seconds(86_400), using: &random) == .seconds(600))
    }

    @Test("a preview is cut between characters") func previews() {
        #expect(PushNotification.preview("short", bytesMax: 5) == "short")
        #expect(PushNotification.preview("too long", bytesMax: 7) == "too …")
        #expect(PushNotification.preview("🌞🌞🌞", bytesMax: 8) == "🌞…")
        #expect(PushNotification.preview("🌞🌞", bytesMax: 3) == "…")
    }

    @Test("a notification comes out of the queue as it went in") func queued() throws {
        let queued = QueuedNotification(.test(3, text: "a \"quote\" and 🌞"), devices: ["phone"])
        #expect(QueuedNotification(try queued.encoded()) == queued)
        #expect(QueuedNotification("not JSON".utf8) == nil)
        #expect(queued.notification.id == "alice/1-3/message")
    }
}
