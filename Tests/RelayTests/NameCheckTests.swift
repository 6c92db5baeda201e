import MeshCore
import Testing

@testable import Relay

@Suite("Ids are composed") struct NameCheckTests {
    @Test("what is composed is taken", arguments: ["lobby", "caf\u{E9}", "日本", "हिन्दी", "👩🏽‍🚀", "@zo\u{EB}"])
    func composed(_ id: String) throws {
        try NameCheck.room(id)
    }

    @Test("a decomposed spelling of the same id is refused, as a room and as a user") func decomposed() {
        let id = "cafe\u{301}"
        #expect(id == "caf\u{E9}", "equal as strings, so it would share their tables")
        #expect(throws: NameFault.notComposed) { try NameCheck.room(id) }
        #expect(throws: NameFault.notComposed) { try NameCheck.user(id) }
    }

    @Test("the rules of ids hold first") func rules() {
        #expect(throws: NameFault.empty) { try NameCheck.room("") }
        #expect(throws: NameFault.reserved) { try NameCheck.user("@alice") }
    }
}
