import Foundation
import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

/// What is resumed, and what is dropped, without a connection.
@Suite struct ResumptionTrackerTests {
    private var random = SeededRandom(seed: 11)
    private var tracker = ResumptionTracker()

    private func position(_ seq: UInt64, epoch: UInt64 = 1) -> RelayPosition { RelayPosition(Position(epoch: epoch, seq: seq)) }

    private func message(_ room: String, _ seq: UInt64, epoch: UInt64 = 1) -> RelayMessage {
        .with { ($0.room, $0.position) = (room, position(seq, epoch: epoch)) }
    }

    private func ask(_ room: String, from: RelayFrom.OneOf_Start? = nil, presence: Bool = false) -> RelaySubscribe {
        .with {
            ($0.room, $0.presence) = (room, presence)
            if let from { $0.from.start = from }
        }
    }

    private func subscribed(_ room: String, head: UInt64, recovered: Bool = false, replayed: UInt32 = 0) -> RelaySubscribed {
        .with { ($0.room, $0.head, $0.recovered, $0.replayed) = (room, position(head), recovered, replayed) }
    }

    private func hello() -> RelayHello {
        var hello = RelayHello()
        tracker.complete(&hello)
        return hello
    }

    private mutating func welcomed(_ resumed: RelayResumed...) -> [ResumptionTracker.RefusedRoom] {
        let welcome = RelayWelcome.with { ($0.session, $0.device, $0.resumed) = ("s", "d", resumed) }
        return tracker.welcomed(welcome, now: .zero, using: &random)
    }

    private mutating func accepted(_ messages: RelayMessage...) -> [Bool] { accepted(messages) }

    private mutating func accepted(_ messages: [RelayMessage]) -> [Bool] { messages.map { tracker.accepts($0) } }

    private func resumed(_ room: String, recovered: Bool = true, pending: Bool = false, error: RelayErrorCode? = nil) -> RelayResumed {
        .with {
            ($0.room, $0.recovered, $0.pending) = (room, recovered, pending)
            if let error { $0.error.code = error }
        }
    }

    @Test mutating func aHelloResumesBehindWhatWasPushed() {
        #expect(!hello().hasSession && hello().resume.isEmpty)
        _ = welcomed()
        tracker.subscribed(ask("quiet", presence: true), subscribed("quiet", head: 7))
        tracker.subscribed(ask("busy"), subscribed("busy", head: 3))
        #expect(accepted(message("busy", 4)) == [true])
        #expect(accepted(.with { $0.room = "busy" }) == [true], "an ephemeral message has no position and is always new")
        let again = hello()
        #expect(again.session == "s" && again.device == "d")
        #expect(again.resume.map(\.room) == ["quiet", "busy"])
        #expect(again.resume.map(\.position) == [position(7), position(4)])
        #expect(again.resume.map(\.presence) == [true, false])
        tracker.forget("quiet")
        #expect(hello().resume.map(\.room) == ["busy"])
    }

    @Test mutating func whatComesAgainIsDroppedAndCounted() {
        tracker.subscribed(ask("r"), subscribed("r", head: 3))
        let seqs: [UInt64] = [2, 3, 4, 4, 5, 4, 6]
        #expect(accepted(seqs.map { message("r", $0) }) == [false, false, true, false, true, false, true])
        #expect(tracker.duplicates == 4)
        #expect(accepted(message("r", 1, epoch: 2)) == [true], "a newer epoch may begin below")
        #expect(accepted(message("elsewhere", 1)) == [true], "a room of which nothing is known has no duplicates")
    }

    @Test mutating func aGapIsPassed() {
        tracker.subscribed(ask("r"), subscribed("r", head: 3))
        tracker.noted(.with { ($0.room, $0.from, $0.to) = ("r", position(4), position(9)) })
        #expect(hello().resume.map(\.position) == [position(9)])
        #expect(accepted(message("r", 9), message("r", 10)) == [false, true])
    }

    @Test mutating func afterAnUnrecoveredResumeTheRelayMayBeBelow() {
        tracker.subscribed(ask("r"), subscribed("r", head: 100))
        _ = welcomed(resumed("r", recovered: false))
        #expect(hello().resume.map(\.position) == [position(100)], "until something has come")
        #expect(accepted(message("r", 1), message("r", 1), message("r", 2)) == [true, false, true])
        #expect(hello().resume.map(\.position) == [position(2)])
    }

    @Test mutating func aGapDoesNotShowWhereARelayThatIsBelowGoesOn() {
        tracker.subscribed(ask("r"), .with { ($0.room, $0.head) = ("r", position(100, epoch: 5)) })
        _ = welcomed(resumed("r", recovered: false))
        tracker.noted(.with { ($0.room, $0.from, $0.to) = ("r", position(100, epoch: 5), position(100, epoch: 5)) })
        #expect(hello().resume.map(\.position) == [position(100, epoch: 5)])
        let messages = [(80, 5), (81, 3), (81, 3), (82, 3)].map { message("r", $0.0, epoch: $0.1) }
        #expect(accepted(Array(messages.dropFirst())) == [true, false, true])
        #expect(accepted(messages[0]) == [true], "a newer epoch than the one that it has come to")
    }

    @Test mutating func aStartThatWasAskedForIsKeptUntilSomethingHasCome() {
        tracker.subscribed(ask("last", from: .last(5)), subscribed("last", head: 9, replayed: 5))
        tracker.subscribed(ask("none", from: .last(5)), subscribed("none", head: 0))
        tracker.subscribed(ask("from", from: .position(position(4))), subscribed("from", head: 9, recovered: true, replayed: 5))
        #expect(hello().resume.map(\.room) == ["none", "from"])
        #expect(hello().resume.map(\.position) == [position(0), position(4)])
        _ = welcomed(resumed("none"), resumed("from"))
        #expect(tracker.due(at: .zero) == [ask("last", from: .last(5))])
        #expect(accepted(message("last", 5)) == [true])
        #expect(hello().resume.map(\.room) == ["last", "none", "from"])
    }

    @Test mutating func subscribingAgainChangesFlagsAndWithAStartBeginsAnew() {
        tracker.subscribed(ask("r"), subscribed("r", head: 9))
        tracker.subscribed(ask("r", presence: true), subscribed("r", head: 12))
        #expect(hello().resume.map(\.position) == [position(9)])
        #expect(hello().resume.map(\.presence) == [true])
        tracker.subscribed(ask("r", from: .position(position(2))), subscribed("r", head: 12, recovered: true))
        #expect(accepted(message("r", 3)) == [true])
    }

    @Test mutating func whatAWelcomeLeavesOpenIsSubscribed() {
        for room in ["gone", "full", "pending", "unheard"] { tracker.subscribed(ask(room), subscribed(room, head: 1)) }
        let refused = welcomed(
            resumed("gone", error: .permissionDenied), resumed("full", error: .resourceExhausted), resumed("pending", pending: true))
        #expect(refused.map(\.room) == ["gone"])
        #expect(tracker.due(at: .zero) == [ask("unheard", from: .position(position(1)))])
        #expect(hello().resume.map(\.room) == ["full", "pending", "unheard"])
        #expect(tracker.due(at: Instant.zero + .milliseconds(499)).isEmpty)
        #expect(tracker.due(at: Instant.zero + .seconds(1)) == [ask("full", from: .position(position(1)))])
        #expect(tracker.due(at: Instant.zero + .seconds(1)).isEmpty)
        tracker.resumed(subscribed("pending", head: 5, recovered: true))
        #expect(accepted(message("pending", 1), message("pending", 2)) == [false, true])
    }

    @Test mutating func aRoomThatIsRefusedForNowWaitsAsTheRelayAsks() {
        tracker.subscribed(ask("r"), subscribed("r", head: 1))
        let busy = RelayError.with { ($0.code, $0.retryAfterMs) = (.unavailable, 2_000) }
        #expect(tracker.postpone("r", busy, now: .zero, using: &random) == true)
        #expect(tracker.due(at: Instant.zero + .milliseconds(1_999)).isEmpty)
        tracker.connectionLost()
        #expect(tracker.due(at: Instant.zero + .seconds(9)).isEmpty, "the next hello asks for it")
        let denied = RelayError.with { $0.code = .permissionDenied }
        #expect(tracker.postpone("r", denied, now: .zero, using: &random) == false)
        #expect(hello().resume.isEmpty)
    }

    @Test mutating func aRoomIsAskedForLessAndLessOftenUntilItIsHad() {
        tracker.subscribed(ask("r"), subscribed("r", head: 1))
        let full = RelayError.with { $0.code = .resourceExhausted }
        var now = Instant.zero
        for longest in [1, 2, 4, 8, 16, 32, 60, 60] {
            #expect(tracker.postpone("r", full, now: now, using: &random))
            #expect(tracker.due(at: now + .milliseconds(500 * longest - 1)).isEmpty, "\(longest) s")
            now = now + .seconds(longest)
            #expect(tracker.due(at: now).map(\.room) == ["r"], "\(longest) s")
        }
        tracker.resumed(subscribed("r", head: 1, recovered: true))
        #expect(tracker.postpone("r", full, now: now, using: &random))
        #expect(tracker.due(at: now + .seconds(1)).map(\.room) == ["r"], "it begins anew")
    }

    @Test mutating func aSubscriptionThatNobodyAnswersIsRepeated() {
        tracker.subscribed(ask("r"), subscribed("r", head: 100))
        _ = welcomed()
        #expect(tracker.due(at: .zero).map(\.room) == ["r"])
        tracker.unanswered("r", now: .zero, using: &random)
        #expect(tracker.due(at: .zero).isEmpty)
        #expect(accepted(message("r", 81)) == [true], "the relay may have gone on below, and only its answer is lost")
        #expect(tracker.due(at: Instant.zero + .seconds(1)) == [ask("r", from: .position(position(81)))])
        tracker.resumed(subscribed("r", head: 81, recovered: true))
        tracker.unanswered("r", now: .zero, using: &random)
        #expect(tracker.due(at: Instant.zero + .seconds(9)).isEmpty, "it was answered")
    }

    @Test mutating func theApplicationsOwnSubscriptionGoesOnWhereARoomIsWaitedFor() {
        for room in ["fed", "full", "asked"] { tracker.subscribed(ask(room), subscribed(room, head: 7)) }
        _ = welcomed(resumed("fed"), resumed("full", error: .unavailable))
        #expect(tracker.due(at: .zero).map(\.room) == ["asked"])
        #expect(tracker.completed(ask("fed")) == ask("fed"))
        for room in ["full", "asked"] {
            #expect(tracker.completed(ask(room, presence: true)) == ask(room, from: .position(position(7)), presence: true))
            #expect(tracker.completed(ask(room, from: .last(2))) == ask(room, from: .last(2)), "the application knows better")
        }
        tracker.subscribed(ask("full", presence: true), subscribed("full", head: 9, recovered: true))
        #expect(tracker.due(at: Instant.zero + .seconds(9)).isEmpty, "it has been answered")
        #expect(accepted(message("full", 7), message("full", 8)) == [false, true])
        tracker.subscribed(ask("asked"), subscribed("asked", head: 9))
        #expect(tracker.completed(ask("asked")).hasFrom, "our own is still under way")
        tracker.resumed(subscribed("asked", head: 9, recovered: true))
        #expect(!tracker.completed(ask("asked")).hasFrom)
    }

    @Test mutating func theLastMessagesAreAskedForAgainInTheApplicationsOwnSubscription() {
        tracker.subscribed(ask("last", from: .last(5)), subscribed("last", head: 9, replayed: 5))
        _ = welcomed(resumed("last", error: .unavailable))
        #expect(tracker.completed(ask("last")) == ask("last", from: .last(5)))
    }

    @Test mutating func aPendingRoomWhoseSubscriptionWasRefusedIsAskedFor() {
        for room in ["pending", "fed"] { tracker.subscribed(ask(room), subscribed(room, head: 7)) }
        _ = welcomed(resumed("pending", pending: true), resumed("fed"))
        #expect(tracker.completed(ask("pending")) == ask("pending", from: .position(position(7))))
        for room in ["pending", "fed"] {
            tracker.refused(ask(room), .with { $0.code = .unavailable }, now: .zero, using: &random)
        }
        #expect(tracker.due(at: Instant.zero + .seconds(1)) == [ask("pending", from: .position(position(7)))])
    }

    @Test mutating func whatTheApplicationAsksItselfIsNotAskedBesides() {
        for room in ["a", "b"] { tracker.subscribed(ask(room), subscribed(room, head: 7)) }
        _ = welcomed()
        #expect(tracker.due(at: .zero, except: ["a"]).map(\.room) == ["b"])
        #expect(tracker.due(at: .zero).map(\.room) == ["a"])
    }

    @Test mutating func moreRoomsThanAHelloTakesAreSubscribed() throws {
        _ = welcomed()
        let names = (0..<2_500).map { "room-\($0)" }
        for room in names { tracker.subscribed(ask(room), subscribed(room, head: 1)) }
        #expect(hello().resume.map(\.room) == Array(names.prefix(2_000)))
        let answers = hello().resume.map { resumed($0.room) }
        _ = tracker.welcomed(.with { $0.resumed = answers }, now: .zero, using: &random)
        #expect(tracker.due(at: .zero).map(\.room) == Array(names[2_000..<2_256]), "as many as may be on the way")
        #expect(tracker.due(at: .zero).isEmpty)
        for room in names[2_000..<2_100] { tracker.resumed(subscribed(room, head: 1, recovered: true)) }
        #expect(tracker.due(at: .zero).map(\.room) == Array(names[2_256..<2_356]))
        for room in names { tracker.forget(room) }
        let quotes = (0..<2_000).map { "\($0)" + String(repeating: "\"", count: 250) }
        for room in quotes { tracker.subscribed(ask(room), subscribed(room, head: .max >> 11)) }
        let json = try hello().jsonUTF8Data()
        #expect(json.count < 1 << 20 && json.count > 800_000, "\(json.count) bytes")
    }

    @Test mutating func aRefusedResumptionIsGivenUp() {
        _ = welcomed()
        tracker.subscribed(ask("r"), subscribed("r", head: 1))
        let codes: [RelayErrorCode] = [.unavailable, .unauthenticated, .invalidArgument]
        let resuming = hello()
        #expect(codes.map { tracker.refused(resuming, $0) } == [false, false, true])
        #expect(!hello().hasSession && hello().resume.isEmpty && hello().device == "d")
        #expect(tracker.refused(hello(), .invalidArgument) == false, "a hello that resumes nothing is wrong for another reason")
        _ = welcomed()
        #expect(tracker.due(at: .zero) == [ask("r", from: .position(position(1)))])
    }

    @Test mutating func theStateIsWhatWasHandled() throws {
        _ = welcomed()
        tracker.subscribed(ask("r", presence: true), subscribed("r", head: 3))
        tracker.subscribed(ask("last", from: .last(2)), subscribed("last", head: 9, replayed: 2))
        #expect(accepted(message("r", 4), message("r", 5), message("r", 6)) == [true, true, true])
        #expect(tracker.state.rooms == [.init(room: "r", position: Position(epoch: 1, seq: 3), presence: true)])
        tracker.handled(.message(message("r", 4)))
        tracker.handled(.gap(.with { ($0.room, $0.to) = ("last", position(8)) }))
        let state = try JSONDecoder().decode(ResumeState.self, from: try JSONEncoder().encode(tracker.state))
        #expect(state.session == "s" && state.device == "d")
        #expect(state.rooms.map(\.position.seq) == [4, 8])
        tracker = ResumptionTracker(state)
        #expect(hello().session == "s" && hello().device == "d" && hello().resume.map(\.position) == [position(4), position(8)])
        #expect(tracker.state == state)
    }
}
