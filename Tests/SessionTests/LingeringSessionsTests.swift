import MeshCore
import Session
import Testing

private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

private func session(_ number: UInt64, _ rooms: [String] = ["@alice", "lobby"]) -> LingeringSessions<String>.Session {
    .init(number: number, identity: number + 100, user: "alice", rooms: rooms)
}

@Suite("Sessions that have ended and are still shown") struct LingeringSessionsTests {
    private var table = LingeringSessions<String>(most: 2)

    @Test("each goes when its time is over, with the rooms it was shown in") mutating func expire() {
        #expect(table.isEmpty)
        #expect(table.add(session(1), until: at(5000)) == nil)
        #expect(table.add(session(2, ["@bob"]), until: at(3000)) == nil)
        #expect(table.expire(now: at(2999)).isEmpty)
        #expect(table.expire(now: at(3000)) == [session(2, ["@bob"])])
        #expect(table.count == 1 && table.identity(of: 1) == 101 && table.identity(of: 2) == nil)
        #expect(table.expire(now: at(9000)) == [session(1)])
        #expect(table.isEmpty)
    }

    @Test("one that goes on elsewhere is shown no longer than for the hand-over") mutating func shorten() {
        _ = table.add(session(1), until: at(5000))
        table.shorten(1, until: at(1500))
        table.shorten(1, until: at(4000))
        table.shorten(7, until: at(1))
        #expect(table.expire(now: at(1500)) == [session(1)])
    }

    @Test("those of a user who was deleted go at once") mutating func deleted() {
        _ = table.add(session(1), until: at(5000))
        _ = table.add(.init(number: 2, identity: 9, user: "bob", rooms: []), until: at(5000))
        #expect(table.end("alice") == [session(1)])
        #expect(table.count == 1 && table.identity(of: 2) == 9)
    }

    @Test("at the bound the one whose time is over first goes at once") mutating func bound() {
        _ = table.add(session(1), until: at(5000))
        _ = table.add(session(2), until: at(3000))
        #expect(table.add(session(3), until: at(9000)) == session(2))
        #expect(table.add(session(3), until: at(8000)) == nil, "it is there already")
        #expect(table.expire(now: at(9000)).map(\.number) == [1, 3])
    }

    @Test("who goes on with a session is remembered for a while, for that identity alone") mutating func heirs() {
        table.remember(1, identity: 101, heir: "b", taken: 5, now: at(0))
        #expect(table.heir(of: 1, identity: 101)?.heir == "b" && table.heir(of: 1, identity: 101)?.taken == 5)
        #expect(table.heir(of: 1, identity: 7) == nil && table.heir(of: 2, identity: 101) == nil)
        table.remember(1, identity: 101, heir: "c", taken: 6, now: at(1000))
        #expect(table.heir(of: 1, identity: 101)?.heir == "c")
        _ = table.expire(now: at(60_999))
        #expect(table.heir(of: 1, identity: 101) != nil && !table.isEmpty)
        _ = table.expire(now: at(61_000))
        #expect(table.heir(of: 1, identity: 101) == nil && table.isEmpty)
    }

    @Test("at the bound the oldest succession is forgotten") mutating func heirsBound() {
        for number in 1...3 as ClosedRange<UInt64> { table.remember(number, identity: 1, heir: "h", taken: 1, now: at(Int(number))) }
        #expect(table.heir(of: 1, identity: 1) == nil)
        #expect(table.heir(of: 2, identity: 1) != nil && table.heir(of: 3, identity: 1) != nil)
    }
}

@Suite("How a session ends") struct SessionMannerTests {
    @Test("who may come back is still shown") func mayReturn() {
        #expect(SessionEnd.lost.mayReturn && !SessionEnd.byClient.mayReturn && !SessionEnd.broken.mayReturn)
        for code in [CloseCode.draining, .heartbeatMissed, .slowConsumer, .overloaded, .tokenExpired] {
            #expect(SessionEnd.told(code).mayReturn, "\(code)")
        }
        for code in [CloseCode.malformed, .unauthenticated, .forbidden, .frameTooLarge, .takenOver, .rateLimitAbused] {
            #expect(!SessionEnd.told(code).mayReturn, "\(code)")
        }
    }
}
