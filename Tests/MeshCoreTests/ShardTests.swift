import Testing

@testable import MeshCore

@Suite("Shards") struct ShardTests {
    @Test("CRC-16/XMODEM's check value") func checkValue() {
        let sum = Array("123456789".utf8).withUnsafeBufferPointer { crc16($0) }
        #expect(sum == 0x31C3)
        #expect([UInt8]().withUnsafeBufferPointer { crc16($0) } == 0)
    }

    /// As `CLUSTER KEYSLOT` answers.
    @Test(
        "slots of known names",
        arguments: [
            ("123456789", 12_739), ("lobby", 10_294), ("@alice", 10_493), ("eu/lobby", 8_445), ("{team}.a", 15_631), ("größe", 9_425),
            ("foo{bar}{zap}", 5_061), ("{}x", 10_595), ("a{b}c", 3_300), ("x{{y}}z", 15_133),
        ])
    func slots(_ room: String, _ slot: UInt16) { #expect(Shard(room: room).number == slot) }

    @Test(
        "the part that is hashed",
        arguments: [
            ("lobby", "lobby"), ("{a}b", "a"), ("x{a}y{b}", "a"), ("{}x", "{}x"), ("a{b", "a{b"), ("a}b{c}", "c"), ("{{a}}", "{a"),
            ("{\u{301}a}", "\u{301}a"), ("", ""),
        ])
    func hashTags(_ name: String, _ tag: String) { #expect(Array(HashTag(of: name).text.utf8) == Array(tag.utf8)) }

    @Test("rooms of one tag share a shard, whatever else is in their names") func together() {
        #expect(Shard(room: "a{t}") == Shard(room: "{t}b"))
        #expect(Shard(room: "{t}b") == Shard(room: "t"))
        #expect(Shard(room: "a") < Shard(room: "123456789") || Shard(room: "123456789") < Shard(room: "a"))
    }
}
