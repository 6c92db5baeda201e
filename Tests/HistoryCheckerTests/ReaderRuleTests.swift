import HistoryChecker
import MeshCore
import Testing

@Suite("What readers are given") struct ReaderRuleTests {
    @Test func aWholeFeedOverTwoConnectionsIsGood() {
        var story = Story(9)
        story.subscribe(.live, head: 2)
        story.see(3...5)
        story.subscribe(.position(Story.at(5)), head: 8)
        story.see(6...9)
        #expect(story.broken().isEmpty)
    }

    @Test func everyStartIsUnderstood() {
        var story = Story(9)
        story.subscribe(.position(.zero), head: 9, "from the oldest")
        story.see(1...9, "from the oldest")
        story.subscribe(.last(3), head: 8, "the last three")
        story.see(6...9, "the last three")
        story.subscribe(.last(100), head: 9, "more than there are")
        story.see(1...9, "more than there are")
        story.subscribe(.live, recovered: false, head: 9, "live")
        #expect(story.broken().isEmpty)
        story.subscribe(.last(3), head: 8, "the last two of three")
        story.see(7...9, "the last two of three")
        #expect(story.broken() == [.hole])
    }

    @Test func aHoleIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2, 4, 5])
        #expect(story.broken() == [.hole])
    }

    @Test func aHoleThatOnlyTheNumbersShowIsFound() {
        // Nobody else knows of 3: the log ends at it, and it was never acknowledged.
        var story = Story([Story.message(1), Story.message(2), Story.message(4)])
        story.subscribe(.live, head: 0)
        story.see([1, 2, 4])
        #expect(story.broken() == [.hole])
        story = Story(2)
        story.subscribe(.live, head: 0)
        story.see([1, 2])
        story.send("k4")
        story.see([4])
        #expect(story.broken() == [.hole])
    }

    @Test func aHoleAtTheBeginningOfAResumeIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2])
        story.subscribe(.position(Story.at(2)), head: 4)
        story.see([4, 5])
        #expect(story.broken() == [.hole])
    }

    @Test func aMessageTwiceIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2, 3, 3, 4, 5])
        #expect(story.broken() == [.twice])
        story = Story(5)
        story.subscribe(.live, head: 0)
        story.see(1...3)
        story.subscribe(.position(Story.at(3)), head: 5)
        story.see(3...5)
        #expect(story.broken() == [.twice])
    }

    @Test func theWrongOrderIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2, 4, 3, 5])
        #expect(story.broken() == [.hole, .order])
    }

    @Test func aMessageBeforeTheHeadOfALiveStartIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 3)
        story.see([3, 4, 5])
        #expect(story.broken() == [.order])
    }

    @Test func aReaderThatStopsShortIsFound() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see(1...4)
        #expect(story.broken() == [.unfinished])
        story.history.record(.left(client: "bob", room: Story.room))
        #expect(story.broken().isEmpty)
    }

    @Test func readersWhoDisagreeAreFound() {
        var story = Story(2)
        for client in ["bob", "carol"] {
            story.subscribe(.live, head: 0, client)
            story.see([1], client)
        }
        story.see(Story.message(2, key: "k1"), "bob")
        story.see([2], "carol")
        #expect(story.broken() == [.disagreement])
        story = Story(1)
        story.subscribe(.live, head: 0)
        var other = Story.message(1)
        other.text = "another text"
        story.see(other)
        #expect(story.broken() == [.disagreement])
    }

    @Test func whatComesUnaskedIsFound() {
        var story = Story(2)
        story.see([1, 2])
        #expect(story.broken() == [.recovery])
        story = Story(2)
        story.gap(Story.at(1), Story.at(2))
        #expect(story.broken() == [.recovery])
    }

    @Test func aClientThatResumesFromElsewhereIsAtFault() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see(1...3)
        story.subscribe(.position(Story.at(4)), head: 5)
        story.see([5])
        #expect(story.broken() == [.badClient])
    }
}

@Suite("Gaps") struct GapRuleTests {
    /// 4 to 6 are trimmed away, and a reader comes back from 3.
    private func trimmed() -> Story {
        var story = Story((1...9).map { Story.message($0) }, kept: 3)
        story.subscribe(.position(.zero), head: 3)
        story.see(1...3)
        return story
    }

    @Test func anAnnouncedLossIsGood() {
        var story = trimmed()
        story.subscribe(.position(Story.at(3)), recovered: false, head: 9)
        story.gap(Story.at(4), Story.at(6))
        story.see(7...9)
        #expect(story.broken().isEmpty)
    }

    @Test func aLossWithoutAGapIsFound() {
        var story = trimmed()
        story.subscribe(.position(Story.at(3)), recovered: false, head: 9)
        story.see(7...9)
        #expect(story.broken() == [.hole, .recovery])
    }

    @Test func aGapThatIsCalledRecoveredIsFound() {
        var story = trimmed()
        story.subscribe(.position(Story.at(3)), head: 9)
        story.gap(Story.at(4), Story.at(6))
        story.see(7...9)
        #expect(story.broken() == [.recovery])
    }

    @Test func aGapThatIsTooShortIsFound() {
        for (from, to) in [(UInt64(5), UInt64(6)), (4, 5)] {
            var story = trimmed()
            story.subscribe(.position(Story.at(3)), recovered: false, head: 9)
            story.gap(Story.at(from), Story.at(to))
            story.see(7...9)
            #expect(story.broken() == [.hole], "\(from) to \(to)")
        }
    }

    @Test func aGapThatHidesWhatIsKeptIsFound() {
        var story = trimmed()
        story.subscribe(.position(Story.at(3)), recovered: false, head: 9)
        story.gap(Story.at(4), Story.at(7))
        story.see(8...9)
        #expect(story.broken() == [.gap])
    }

    @Test func aGapOverWhatWasSeenIsFound() {
        var story = Story(3)
        story.subscribe(.live, head: 0)
        story.see(1...3)
        story.send("k4")
        story.gap(Story.at(3), Story.at(4))
        #expect(story.broken() == [.gap])
        story = Story(3)
        story.subscribe(.live, head: 0)
        story.see(1...3)
        story.gap(Story.at(9), Story.at(8))
        #expect(story.broken() == [.gap])
    }

    @Test func aLaterHoleMayHaveAGapOfItsOwn() {
        var story = trimmed()
        story.history.record(.left(client: "bob", room: Story.room))
        story.subscribe(.live, head: 3, "carol")
        story.see(4...5, "carol")
        story.gap(Story.at(6), Story.at(6), "carol")
        story.see(7...9, "carol")
        #expect(story.broken().isEmpty)
    }

    @Test func aStoreThatLostItsEndSaysSoOnResume() {
        // The log of epoch 1 is gone, and goes on at epoch 2.
        let old = (1...4).map { Story.message($0) }
        let new = (1...2).map { Story.message($0, epoch: 2, key: "new\($0)") }
        var story = Story(old + new)
        story.history.logs[Story.room] = History.RoomLog(new)
        story.subscribe(.live, head: 0)
        story.see(1...3)
        var silent = story
        story.subscribe(.position(Story.at(3)), recovered: false, head: 2, epoch: 2)
        story.gap(Story.at(1), Story.at(3))
        for message in new { story.see(message) }
        #expect(story.broken(mayLose: true).isEmpty)
        #expect(story.broken().isSuperset(of: [.lost, .hole]))
        silent.subscribe(.position(Story.at(3)), recovered: false, head: 2, epoch: 2)
        for message in new { silent.see(message) }
        #expect(silent.broken(mayLose: true) == [.recovery])
    }

    @Test func aHoleWithinAnEpochIsOneThoughAStoreMayLose() {
        var story = Story(5)
        story.subscribe(.live, head: 0)
        story.see([1, 2, 4, 5])
        #expect(story.broken(mayLose: true) == [.hole])
    }
}
