import MeshConfiguration
import MeshCore
import Testing

@Suite("The retention section of mesh.yaml") struct RetentionTests {
    private func mesh(_ retention: String) -> String { Files.mesh + "\n" + retention }

    @Test func everyFieldIsOptional() throws {
        #expect(try Files().load().get().mesh.retention == RetentionRules())
        #expect(try Files(mesh: mesh("retention: {}")).load().get().mesh.retention == RetentionRules())
    }

    @Test func aWholeSectionIsRead() throws {
        let rules = try Files(
            mesh: mesh(
                """
                retention:
                  default: {messages: 20_000, age: 30d, bytes: 64MiB}
                  placements:
                    eu: {age: 36h}
                    default: {bytes: 1GiB}
                  rooms:
                    - {match: "audit-*", messages: 1000000, age: none}
                    - {match: lobby, age: 90s}
                """)
        ).load().get().mesh.retention
        #expect(rules.standard == .init(messages: 20_000, age: .most(.seconds(30 * 86_400)), bytes: 64 << 20))
        #expect(rules.placements == ["eu": .init(age: .most(.seconds(36 * 3_600))), "default": .init(bytes: 1 << 30)])
        #expect(rules.rooms.map(\.match.text) == ["audit-*", "lobby"])
        #expect(rules.rooms.map(\.rule) == [.init(messages: 1_000_000, age: .unlimited), .init(age: .most(.seconds(90)))])
    }

    @Test(
        "each mistake is named with its line",
        arguments: [
            ("default: {messages: 0}", "26: retention.default.messages: 0 is outside 1 to 10000000"),
            ("default: {message: 5}", "26: retention.default.message: unknown field; did you mean `messages`?"),
            ("default: {age: 30}", "26: retention.default.age: `30` is not a time with its unit, such as 500ms, 10s or 5m"),
            ("default: {age: 10ms}", "26: retention.default.age: 10 ms is outside 1000 ms to 3153600000000 ms"),
            ("default: {bytes: 1KiB}", "26: retention.default.bytes: 1024 bytes is outside 65536 to 1099511627776"),
            ("default: 7", "26: retention.default: must be a mapping of fields"),
            ("placements: {mars: {messages: 5}}", "26: retention.placements.mars: names the unknown placement mars"),
            ("rooms: [{messages: 5}]", "26: retention.rooms[0].match: is missing"),
            (
                "rooms: [{match: a*b}]",
                "26: retention.rooms[0].match: `a*b` is not a room or the beginning of one and `*`: a `*` stands at the end only"
            ),
            (
                "rooms: [{match: $x}]",
                "26: retention.rooms[0].match: `$x` is not a room: ids that begin with $ are reserved, and a user id must not begin with @"
            ),
            (
                "rooms: [{match: \"a*\"}, {match: ab}]",
                "26: retention.rooms[1].match: is never reached: `a*` in line 26 matches all of it"
            ),
            ("room: []", "26: retention.room: unknown field; did you mean `rooms`?"),
        ])
    func mistakes(_ text: String, _ error: String) throws {
        #expect(try Files(mesh: mesh("retention:\n  \(text)")).errors() == ["mesh.yaml:" + error])
    }
}
