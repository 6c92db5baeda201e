import MeshCore
import Testing

@testable import Store

/// Shards are Redis Cluster's slots, as a real server computes them.
@Suite struct ShardTests {
    /// Names with braces in all places, and random ones over an alphabet that makes braces likely.
    private static let names: [String] = {
        var names = [
            "lobby", "eu/lobby", "@alice", "é", "日本語", "{}", "{a", "a}", "}{", "a{}{b}", "{{x}}", "{x}{y}", "a{b}c", "{user1000}.following",
            "foo{}{bar}",
            "foo{{bar}}zap", "foo{bar}{zap}", "{é}x", "}a{b}", "{a}}", "{}}", "{}{x}",
        ]
        var random = SeededRandom(seed: 42)
        let alphabet = Array("{}{}abcdefghijklmnopqrstuvwxyz0123456789/@-_.é🌞")
        for _ in 0..<3000 {
            let length = Int.random(in: 1...24, using: &random)
            names.append(String((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }))
        }
        return names
    }()

    private func slots(_ keys: [String]) throws -> [Int] {
        let server = try RedisServer(
            listener: .port(RedisServer.freePort()), extra: ["--cluster-enabled", "yes", "--cluster-port", "\(RedisServer.freePort())"])
        return try server.run(lines: keys.map { "CLUSTER KEYSLOT \($0)" }).compactMap { Int($0) }
    }

    @Test func shardIsTheSlotOfTheName() throws {
        #expect(try slots(Self.names) == Self.names.map { Int(Shard(room: $0).number) })
    }

    @Test func allKeysOfARoomLieInItsShard() throws {
        let rooms = Self.names.filter { (try? NameRules.checkRoom($0)) != nil }
        #expect(rooms.count > 300)
        let keys = rooms.flatMap { room in StoreKeys.RoomKind.allCases.map { StoreKeys.room($0, room) } }
        let wanted = rooms.flatMap { room in StoreKeys.RoomKind.allCases.map { _ in Int(Shard(room: room).number) } }
        #expect(try slots(keys) == wanted)
    }
}
