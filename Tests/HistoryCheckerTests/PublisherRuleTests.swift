import HistoryChecker
import MeshCore
import Testing

@Suite("What publishers are told") struct PublisherRuleTests {
    @Test func aRepeatThatIsADuplicateIsGood() {
        var story = Story(2)
        story.send("k1")
        story.acknowledge("k1", Story.at(1), duplicate: true)
        #expect(story.broken().isEmpty)
        story.acknowledge("k1", Story.at(1))
        #expect(story.broken() == [.duplicateFlag])
    }

    @Test func anAcknowledgedMessageThatIsNowhereIsFound() {
        var story = Story(3)
        story.send("k4")
        story.acknowledge("k4", Story.at(4))
        #expect(story.broken() == [.lost])
        #expect(story.broken(mayLose: true) == [.lost], "the epoch is the newest: nothing says that it is gone")
    }

    @Test func anAcknowledgedMessageThatStandsElsewhereIsFound() {
        var story = Story(3)
        story.send("mine", from: "bob")
        story.acknowledge("mine", Story.at(2), from: "bob")
        #expect(story.broken() == [.disagreement])
    }

    @Test func whatIsTrimmedIsNotLost() {
        var story = Story((1...3).map { Story.message($0) }, kept: 1)
        #expect(story.broken().isEmpty)
        story.history.logs[Story.room]?.isTrimmed = false
        #expect(story.broken() == [.lost])
    }

    @Test func aKeyAtTwoPositionsIsFound() {
        #expect(Story([Story.message(1), Story.message(2, key: "k1")]).broken().contains(.keyTwice))
        var story = Story(2)
        story.send("k1")
        story.acknowledge("k1", Story.at(3), duplicate: true)
        #expect(story.broken() == [.keyTwice, .lost])
        #expect(
            Story([Story.message(1), Story.message(2, from: "bob", key: "k1")]).broken().isEmpty, "the same key of another user is another")
    }

    @Test func theSendingOrderIsChecked() {
        var story = Story([])
        for key in ["a", "b", "c"] { story.send(key) }
        let order = ["a", "c", "b"].enumerated().map { Story.message(UInt64($0.offset + 1), key: $0.element) }
        story.history.logs[Story.room] = History.RoomLog(order)
        #expect(story.broken() == [.sendingOrder])
        let right = ["a", "b", "c"].enumerated().map { Story.message(UInt64($0.offset + 1), key: $0.element) }
        story.history.logs[Story.room] = History.RoomLog(right)
        #expect(story.broken().isEmpty)
    }

    @Test func whatWasRefusedMayStandLater() {
        var story = Story([])
        for key in ["a", "b"] { story.send(key) }
        story.refuse("a")
        story.send("a")
        story.send("c")
        func orders(_ keys: [String]) -> Set<Violation.Rule> {
            var story = story
            story.history.logs[Story.room] = History.RoomLog(
                keys.enumerated().map { Story.message(UInt64($0.offset + 1), key: $0.element) })
            return story.broken()
        }
        #expect(orders(["b", "a", "c"]).isEmpty)
        #expect(orders(["a", "b", "c"]).isEmpty)
        #expect(orders(["b", "c", "a"]) == [.sendingOrder])
        #expect(orders(["a", "c", "b"]) == [.sendingOrder])
    }

    @Test func aRepeatAfterALostConnectionKeepsItsPlace() {
        var story = Story([])
        for key in ["a", "b", "a", "b"] { story.send(key) }
        story.history.logs[Story.room] = History.RoomLog([Story.message(1, key: "b"), Story.message(2, key: "a")])
        #expect(story.broken() == [.sendingOrder])
    }

    @Test func whatNobodySentIsFound() {
        var story = Story(1)
        story.history.logs[Story.room]?.messages.append(Story.message(2, key: "k2"))
        #expect(story.broken() == [.invented])
        story.send("k2", text: "the first text")
        #expect(story.broken() == [.invented])
    }

    @Test func aClockThatGoesBackIsFound() {
        var late = Story.message(1)
        late.at = 5_000
        #expect(Story([late, Story.message(2)]).broken() == [.time])
    }

    @Test func aLogOutOfOrderIsFound() {
        #expect(Story([Story.message(2), Story.message(1)]).broken().contains(.order))
        #expect(Story([Story.message(1), Story.message(3)]).broken() == [.hole])
        #expect(Story([Story.message(1), Story.message(2, epoch: 2)]).broken().isEmpty, "seq goes on in a new epoch")
        #expect(Story([Story.message(1), Story.message(1, epoch: 2, key: "new")]).broken() == [.hole])
        #expect(Story([Story.message(1), Story.message(1, epoch: 2, key: "new")]).broken(mayLose: true).isEmpty)
    }
}

@Suite("How much a run needs") struct DemandTests {
    @Test func aRunWithTooLittleFails() {
        #expect(History().check().map(\.rule) == [.tooLittle, .tooLittle])
        var story = Story(3)
        story.subscribe(.position(.zero), head: 3)
        story.see(1...3)
        story.history.record(.connected(client: "bob", session: "s", node: "eu-west-0"))
        story.history.record(.disrupted("a node was killed"))
        var demands = Demands()
        (demands.acknowledgedMin, demands.seenMin, demands.resumesMin, demands.connectionsMin, demands.disruptionsMin) = (3, 3, 1, 1, 1)
        #expect(story.history.check(demands).isEmpty)
        let tighter: [WritableKeyPath<Demands, Int>] = [\.acknowledgedMin, \.seenMin, \.resumesMin, \.connectionsMin, \.disruptionsMin]
        for part in tighter {
            var more = demands
            more[keyPath: part] += 1
            #expect(story.history.check(more).map(\.rule) == [.tooLittle])
        }
    }

    @Test func theReportSaysWhatHappened() {
        var story = Story(2)
        story.subscribe(.position(.zero), recovered: false, head: 2)
        story.refuse("k2")
        #expect(
            story.history.counts.description == "2 clients, 0 connections, 1 resumes (1 not whole), 2 messages, 0 repeats, "
                + "2 acknowledged (0 as duplicates), 1 refusals, 0 deliveries, 0 gaps, 0 disruptions")
    }

    @Test func aViolationShowsWhatCameBefore() throws {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2, 5])
        let violation = try #require(story.history.check().first { $0.rule == .hole })
        #expect(violation.description.contains("in lobby for bob"))
        #expect(violation.description.contains("1-3 (k3), 1-4 (k4) missing"))
        #expect(violation.context.count == 4 && violation.context[3].contains("saw 1-5"))
    }
}
