import Rooms
import Testing

/// A class: an expectation cannot hold a mutating call.
private final class Level {
    var children = Children<String>()
    func join(_ child: String, _ generation: UInt64, _ interest: Interest) -> Bool {
        children.join(child, generation: generation, interest: interest)
    }
    func leave(_ child: String, _ generation: UInt64) -> Bool { children.leave(child, generation: generation) }
    func lost(_ child: String) -> Bool { children.lost(child) }
    func answered(_ child: String, _ generation: UInt64) -> Bool { children.answered(child, generation: generation) }
    func answer(_ covered: Interest) -> [String] {
        children.unanswered.filter { covered.isSuperset(of: $0.interest) && children.answered($0.child, generation: $0.generation) }
            .map { "\($0.child)\($0.generation)" }.sorted()
    }
    func served(_ bit: Interest) -> [String] {
        var all: [String] = []
        children.forEach(wanting: bit) { all.append("\($0)\($1)") }
        return all.sorted()
    }
}

@Suite("The children of a level") struct ChildrenTests {
    @Test("served before live: nothing flows before the answer, all its bits after it") func answer() {
        let level = Level()
        #expect(level.join("a", 1, [.messages, .typing]))
        #expect(level.served(.messages) == [])
        #expect(level.answer(.messages) == [], "typing is not covered yet")
        #expect(level.answer([.messages, .typing]) == ["a1"])
        #expect(level.answer([.messages, .typing]) == [], "answered once")
        #expect(level.served(.messages) == ["a1"])
        #expect(level.served(.typing) == ["a1"])
        #expect(level.served(.presence) == [])
    }

    @Test("an older or repeated generation is stale") func stale() {
        let level = Level()
        #expect(level.join("a", 5, .messages))
        #expect(!level.join("a", 5, .typing))
        #expect(!level.join("a", 4, .typing))
        #expect(level.children.interest(of: "a") == .messages)
        #expect(level.join("b", 1, .messages), "generations are each child's own")
    }

    @Test("an answer to another join than the one that waits is none") func otherAnswer() {
        let level = Level()
        _ = level.join("a", 1, .messages)
        _ = level.join("a", 2, .messages)
        #expect(!level.answered("a", 1))
        #expect(!level.answered("b", 2))
        #expect(level.answered("a", 2))
        #expect(!level.answered("a", 2))
        #expect(level.children.unanswered.isEmpty)
    }

    @Test("a child that joins anew is served as before until the answer") func rejoin() {
        let level = Level()
        _ = level.join("a", 1, .messages)
        _ = level.answer(.messages)
        #expect(level.join("a", 2, [.messages, .presence]))
        #expect(level.join("a", 3, [.messages, .presence]))
        #expect(level.served(.messages) == ["a1"])
        #expect(level.served(.presence) == [])
        #expect(level.answer([.messages, .presence]) == ["a3"])
        #expect(level.served(.messages) == ["a3"])
    }

    @Test("interest sums up what was asked") func interest() {
        let level = Level()
        _ = level.join("a", 1, .messages)
        _ = level.join("b", 1, .presence)
        #expect(level.children.interest == [.messages, .presence])
        _ = level.join("a", 2, .typing)
        #expect(level.children.interest == [.presence, .typing])
        #expect(level.leave("b", 1))
        #expect(level.children.interest == .typing)
    }

    @Test("only the newest join is left") func leave() {
        let level = Level()
        _ = level.join("a", 1, .messages)
        _ = level.join("a", 2, .messages)
        #expect(!level.leave("a", 1))
        #expect(!level.leave("b", 2))
        #expect(level.children.contains("a"))
        #expect(level.leave("a", 2))
        #expect(level.children.isEmpty && level.children.count == 0)
    }

    @Test("a lost link forgets the child, and its generations begin anew") func lost() {
        let level = Level()
        _ = level.join("a", 7, .messages)
        _ = level.answer(.messages)
        #expect(level.lost("a"))
        #expect(!level.lost("a"))
        #expect(level.join("a", 1, .messages), "it may have been started again")
        #expect(level.served(.messages) == [], "nothing of the old join stands")
    }
}
