import Foundation
import MeshCore

/// The rules for ids, with the one that needs Unicode's tables: two spellings that look alike and compare equal would share tables in a
/// node and yet have different shards and keys, so only the composed form (NFC, Unicode Standard Annex 15) is taken.
enum NameCheck {
    static func room(_ room: String) throws(NameFault) {
        try NameRules.checkRoom(room)
        try checkForm(room)
    }

    static func user(_ user: String) throws(NameFault) {
        try NameRules.checkUser(user)
        try checkForm(user)
    }

    private static func checkForm(_ id: String) throws(NameFault) {
        // ASCII is composed already, and nearly all ids are ASCII.
        guard !id.utf8.allSatisfy({ $0 < 0x80 }) else { return }
        guard id.precomposedStringWithCanonicalMapping.utf8.elementsEqual(id.utf8) else { throw .notComposed }
    }
}
