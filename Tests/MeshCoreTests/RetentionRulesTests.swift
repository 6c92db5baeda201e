import MeshCore
import Testing

@Suite("How much rooms keep") struct RetentionRulesTests {
    private let rules = RetentionRules(
        standard: .init(messages: 5_000, age: .most(.seconds(3_600))),
        placements: ["eu": .init(age: .most(.seconds(60)), bytes: 1 << 20)],
        rooms: [
            .init(match: RoomPattern("audit-*"), rule: .init(messages: 9, age: .unlimited)),
            .init(match: RoomPattern("*"), rule: .init(bytes: 77)),
        ])

    @Test("without rules the defaults hold") func defaults() {
        #expect(RetentionRules().limits(for: "lobby", in: "default") == RetentionLimits(messages: 10_000, age: nil, bytes: 64 << 20))
    }

    @Test("each bound is the first pattern's, else the placement's, else the default's") func layers() {
        #expect(rules.limits(for: "audit-1", in: "default") == RetentionLimits(messages: 9, age: nil, bytes: 64 << 20))
        #expect(rules.limits(for: "audit-1", in: "eu") == RetentionLimits(messages: 9, age: nil, bytes: 1 << 20))
        #expect(rules.limits(for: "eu/lobby", in: "eu") == RetentionLimits(messages: 5_000, age: .seconds(60), bytes: 77))
        #expect(rules.limits(for: "lobby", in: "us") == RetentionLimits(messages: 5_000, age: .seconds(3_600), bytes: 77))
    }

    @Test(
        "a pattern is a name, or the beginning of one",
        arguments: [
            ("lobby", "lobby", true), ("lobby", "lobby2", false), ("lob*", "lobby", true), ("lob*", "lob", true), ("lob*", "lo", false),
            ("*", "anything", true), ("@*", "@alice", true), ("a*b", "a*b", true), ("a*b", "axb", false), ("", "lobby", false),
        ])
    func matching(_ pattern: String, _ room: String, _ matches: Bool) {
        #expect(RoomPattern(pattern).matches(room) == matches)
    }

    @Test(
        "one pattern covers another when it matches every room of it",
        arguments: [
            ("*", "a*", true), ("a*", "a*", true), ("a*", "ab*", true), ("ab*", "a*", false), ("a*", "ab", true), ("ab", "a*", false),
            ("ab", "ab", true), ("ab", "ac", false), ("a*", "b", false),
        ])
    func covering(_ pattern: String, _ other: String, _ covers: Bool) {
        #expect(RoomPattern(pattern).covers(RoomPattern(other)) == covers)
    }
}
