import Presence
import Testing

/// A time that expectations can change.
private final class Seen {
    private var seen = LastSeen()

    var time: Int64 { seen.time }
    var isForgotten: Bool { seen.isForgotten }
    var deletions: UInt64 { seen.deletions }
    func loaded(_ stored: Int64) { seen.loaded(stored) }
    func joined() { seen.joined() }
    func left(at now: Int64) -> Bool { seen.left(at: now) }
    func forget() { seen.forget() }
}

@Suite("Last seen") struct LastSeenTests {
    @Test("moves forward") func forward() {
        let seen = Seen()
        seen.loaded(5)
        #expect(seen.left(at: 7) && seen.time == 7)
        seen.loaded(6)
        #expect(seen.time == 7)
    }

    @Test("sessions that end after the user's deletion say nothing of her") func deleted() {
        let seen = Seen()
        #expect(seen.left(at: 7))
        let deletions = seen.deletions
        seen.forget()
        #expect(seen.time == 0 && seen.isForgotten && seen.deletions != deletions, "a write that waits is not wanted any more")
        #expect(!seen.left(at: 9) && seen.time == 0)
        seen.loaded(7)
        #expect(seen.time == 0)
    }

    @Test("a user who joins anew is seen again") func back() {
        let seen = Seen()
        seen.forget()
        seen.joined()
        #expect(seen.left(at: 9) && seen.time == 9)
    }
}
