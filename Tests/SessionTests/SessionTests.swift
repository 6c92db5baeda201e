import MeshCore
import Session
import Testing

@Suite("Grants") struct GrantsTests {
    private func grants(_ role: Role = .member, _ rooms: [Grants.RoomGrant]? = nil) -> Grants {
        Grants(user: "alice", role: role, rooms: rooms, expiresAt: 0)
    }

    @Test("what a role allows where no grant is named") func roles() {
        for permission in Permission.allCases {
            #expect(grants(.admin).allows(permission, in: "lobby"))
            #expect(grants(.member).allows(permission, in: "lobby") == (permission != .moderate))
            #expect(grants(.guest).allows(permission, in: "lobby") == ![.publish, .moderate].contains(permission))
        }
    }

    @Test("named rooms are the only ones, whatever the role") func named() {
        let some = grants(.admin, [.init(match: "team-*", can: [.subscribe]), .init(match: "lobby", can: [.publish])])
        #expect(some.allows(.subscribe, in: "team-a"))
        #expect(some.allows(.subscribe, in: "team-"))
        #expect(!some.allows(.subscribe, in: "team"))
        #expect(!some.allows(.publish, in: "team-a"))
        #expect(some.allows(.publish, in: "lobby"))
        #expect(!some.allows(.publish, in: "lobby2"))
        #expect(!some.allows(.subscribe, in: "other"))
        #expect(!grants(.admin, []).allows(.subscribe, in: "lobby"))
    }

    @Test("several grants of one room add up; a star alone is every room") func several() {
        let sum = grants(.guest, [.init(match: "*", can: [.subscribe]), .init(match: "lo*", can: [.publish])])
        #expect(sum.allows(.subscribe, in: "x") && sum.allows(.subscribe, in: "lobby") && sum.allows(.publish, in: "lobby"))
        #expect(!sum.allows(.publish, in: "x"))
        #expect(!grants(.member, [.init(match: "", can: [.publish])]).allows(.publish, in: "lobby"))
        #expect(grants(.member, [.init(match: "a*b", can: [.publish])]).allows(.publish, in: "a*b"), "a star inside is a letter")
    }

    @Test("one's own inbox is one's own, whatever the token says") func ownInbox() {
        for permission in Permission.allCases { #expect(grants(.guest, []).allows(permission, in: "@alice")) }
    }

    @Test("others' inboxes are never read, only written to") func othersInbox() {
        let all = grants(.admin, [.init(match: "*", can: Set(Permission.allCases))])
        for who in [all, grants(.admin)] {
            #expect(!who.allows(.subscribe, in: "@bob"))
            #expect(!who.allows(.history, in: "@bob"))
            #expect(who.allows(.publish, in: "@bob"))
            #expect(who.allows(.presence, in: "@bob"))
        }
        #expect(!grants(.guest).allows(.publish, in: "@bob"))
        #expect(!grants().allows(.subscribe, in: "@@alice"))
    }
}

@Suite("The session's clock") struct SessionClockTests {
    private func at(_ ms: Int) -> Instant { Instant.zero + .milliseconds(ms) }

    private func active(heartbeatMs: Int) -> SessionClock {
        var clock = SessionClock(openedAt: at(0), helloTimeout: .seconds(10))
        clock.started(heartbeat: .milliseconds(heartbeatMs), now: at(0))
        return clock
    }

    @Test("no hello in time, and bytes before it are no excuse") func hello() {
        var clock = SessionClock(openedAt: at(0), helloTimeout: .seconds(10))
        clock.heard(now: at(9_000))
        #expect(clock.check(now: at(9_999)) == .fine)
        #expect(clock.check(now: at(10_000)) == .close(.helloTimeout))
    }

    @Test("silence: one ping, then the end") func silence() {
        var clock = active(heartbeatMs: 1000)
        #expect(clock.check(now: at(999)) == .fine)
        #expect(clock.check(now: at(1000)) == .ping)
        clock.pinged(now: at(1000))
        #expect(clock.check(now: at(1001)) == .fine)
        #expect(clock.check(now: at(1499)) == .fine)
        #expect(clock.check(now: at(1500)) == .close(.heartbeatMissed))
    }

    @Test("an answer to the ping starts it anew") func answered() {
        var clock = active(heartbeatMs: 1000)
        clock.pinged(now: at(1000))
        clock.heard(now: at(1100))
        #expect(clock.check(now: at(1999)) == .fine)
        #expect(clock.check(now: at(2100)) == .ping)
    }

    @Test("who only listens is pinged, however much it is sent") func listener() {
        var clock = active(heartbeatMs: 1000)
        clock.spoke(now: at(990))
        #expect(clock.check(now: at(1000)) == .ping)
    }

    @Test("who only talks hears something every heartbeat") func talker() {
        var clock = active(heartbeatMs: 1000)
        clock.heard(now: at(990))
        #expect(clock.check(now: at(1000)) == .ping)
        clock.pinged(now: at(1000))
        clock.heard(now: at(1900))
        #expect(clock.check(now: at(1999)) == .fine)
        clock.heard(now: at(2000))
        #expect(clock.check(now: at(2000)) == .ping)
    }
}

@Suite("The end of sessions") struct SessionEndTests {
    /// The table of close codes.
    @Test(
        "who may come back",
        arguments: [
            (4000, true), (4001, true), (4002, true), (4003, true), (4004, true), (4006, true), (4500, false), (4501, false), (4502, false),
            (4503, false), (4504, false), (4505, false),
        ])
    func mayReconnect(_ code: UInt16, _ may: Bool) { #expect(CloseCode(rawValue: code)?.mayReconnect == may) }

    @Test("every code is in the table, and is counted unless it is planned") func codes() {
        #expect(CloseCode.allCases.count == 12)
        for code in CloseCode.allCases { #expect((code.dropReason == nil) == (code == .draining || code == .takenOver), "\(code)") }
    }

    @Test("a drain's window grows with the sessions, within bounds") func window() {
        #expect(DrainPlan.windowMs(sessions: 0) == 250)
        #expect(DrainPlan.windowMs(sessions: 1000) == 2000)
        #expect(DrainPlan.windowMs(sessions: 10_000_000) == 30_000)
    }

    @Test("slots fill the window evenly") func slots() {
        var plan = DrainPlan(windowMs: 1000, seed: 7)
        var quarters = [0, 0, 0, 0]
        for _ in 0..<4000 {
            let slot = plan.nextAfterMs()
            #expect((0..<1000).contains(slot))
            quarters[slot / 250] += 1
        }
        #expect(quarters.allSatisfy { (850...1150).contains($0) }, "\(quarters)")
        var none = DrainPlan(windowMs: 0, seed: 7)
        #expect(none.nextAfterMs() == 0)
    }
}
