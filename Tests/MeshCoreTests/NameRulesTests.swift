import MeshCore
import Testing

@Suite("Names") struct NameRulesTests {
    private func roomFault(_ room: String) -> NameFault? {
        do throws(NameFault) { try NameRules.checkRoom(room) } catch { return error }
        return nil
    }

    private func userFault(_ user: String) -> NameFault? {
        do throws(NameFault) { try NameRules.checkUser(user) } catch { return error }
        return nil
    }

    @Test(
        "rooms that are fine",
        arguments: ["a", "@alice", "eu/lobby", "größe", "👩‍👩‍👧‍👦", "{tag}", "x{tag}y", "{a}{b}", "a{b", "{{a}", "a.b-c_d:e#f", "a$", "a@b", "@@"])
    func lawfulRooms(_ room: String) { #expect(roomFault(room) == nil) }

    @Test(
        "rooms that are not",
        arguments: [
            ("", NameFault.empty), ("a b", .forbiddenCharacter), ("a\tb", .forbiddenCharacter), ("a\u{0}", .forbiddenCharacter),
            ("a\u{7F}", .forbiddenCharacter), ("a\u{85}b", .forbiddenCharacter), ("a\u{A0}b", .forbiddenCharacter),
            ("a\u{2028}b", .forbiddenCharacter), ("a\u{3000}b", .forbiddenCharacter), ("a\r\nb", .forbiddenCharacter), ("$x", .reserved),
            ("$", .reserved), ("@", .reserved), ("}", .strayBrace), ("{}", .strayBrace), ("a{b}c}", .strayBrace), ("{a}{}", .strayBrace),
        ])
    func unlawfulRooms(_ room: String, _ fault: NameFault) { #expect(roomFault(room) == fault) }

    @Test("255 bytes of UTF-8, not characters") func length() {
        #expect(roomFault(String(repeating: "a", count: 255)) == nil)
        #expect(roomFault(String(repeating: "a", count: 256)) == .tooLong)
        #expect(roomFault(String(repeating: "ü", count: 127)) == nil)
        #expect(roomFault(String(repeating: "ü", count: 128)) == .tooLong)
        #expect(roomFault(String(repeating: "👩‍👩‍👧‍👦", count: 10)) == nil)
        #expect(roomFault(String(repeating: "👩‍👩‍👧‍👦", count: 11)) == .tooLong)
    }

    @Test("a user's inbox is a lawful room") func users() {
        #expect(userFault("alice") == nil)
        #expect(userFault("@alice") == .reserved)
        #expect(userFault("$alice") == .reserved)
        #expect(userFault("") == .empty)
        #expect(userFault("a}") == .strayBrace)
        #expect(userFault("a b") == .forbiddenCharacter)
        let longest = String(repeating: "a", count: 254)
        #expect(userFault(longest) == nil)
        #expect(roomFault(NameRules.inbox(of: longest)) == nil)
        #expect(userFault(longest + "a") == .tooLong)
    }

    @Test("inboxes and their owners") func inboxes() {
        #expect(NameRules.inbox(of: "alice") == "@alice")
        #expect(NameRules.owner(ofInbox: "@alice") == "alice")
        #expect(NameRules.owner(ofInbox: "alice") == nil)
        #expect(NameRules.owner(ofInbox: "") == nil)
    }

    @Test("every fault says what is wrong") func texts() {
        let faults: [NameFault] = [.empty, .tooLong, .forbiddenCharacter, .reserved, .strayBrace]
        #expect(Set(faults.map(\.description)).count == faults.count)
    }
}
