/// The relay's own append script as `redis-benchmark` runs it: with as many messages a call as the relay had in a batch, of the same size, with
/// keys as long, into a log that is trimmed to the same length.
struct AppendReference {
    static let room = "bench-reference"
    private static let logMessagesMax = 10_000
    private static let logBytesMax = 64 << 20
    /// For ever, as far as time goes.
    private static let ageMs = 0
    private static let keysMax = 10_000_000
    private static let windowMs = 300_000

    private let redis: BenchmarkRedis
    private let digest: String

    init(_ redis: BenchmarkRedis, script: String) throws {
        self.redis = redis
        digest = try redis.ask(["SCRIPT", "LOAD", script])
    }

    private static func key(_ kind: String, _ room: String) -> String { "hg:\(kind):{\(room)}:\(room)" }

    /// - Parameters:
    ///   - model: a room that the relay has published to: what it stores is what is stored here.
    ///   - batch: messages a call.
    ///   - callsInFlight: at once, on one connection for each cell, as the relay has them.
    /// - Returns: messages a second.
    func measure(like model: String, batch: Int, callsInFlight: Int, cells: Int, calls: Int) throws -> Double {
        let run = try redis.info("server", "run_id") ?? ""
        _ = try redis.ask(
            ["HSET", Self.key("meta", Self.room), "fence", "1.1", "run", run, "epoch", "1", "seq", "0", "head", "1-0", "at", "0"])
        for kind in ["log", "keys", "expiry"] { _ = try redis.ask(["DEL", Self.key(kind, Self.room)]) }
        let bodyBytes = try length("return #redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2][4]", Self.key("log", model))
        let keyBytes = try length("return #redis.call('HRANDFIELD', KEYS[1])", Self.key("keys", model))
        let random = "__rand_int__"
        let key = String(repeating: "k", count: max(0, keyBytes - random.count)) + random
        let message = [key, "1", String(repeating: "x", count: bodyBytes)]
        let command =
            ["EVALSHA", digest, "4"] + ["meta", "log", "keys", "expiry"].map { Self.key($0, Self.room) }
            + [
                "1.1", run, "\(Self.logMessagesMax)", "\(Self.ageMs)", "\(Self.logBytesMax)", "\(Self.windowMs)", "\(Self.keysMax)", "1.1",
                "",
            ]
            + Array(repeatElement(message, count: batch).joined())
        let clients = min(cells, callsInFlight)
        let rate = try redis.benchmark(command, times: calls, clients: clients, pipeline: max(1, callsInFlight / clients))
        let stored = Double(try redis.ask(["HGET", Self.key("meta", Self.room), "seq"])) ?? 0
        guard stored >= 0.99 * Double(calls * batch) else {
            throw BenchmarkError.serverFailed("redis-benchmark has stored \(stored) of \(calls * batch) messages")
        }
        return rate * Double(batch)
    }

    private func length(_ script: String, _ key: String) throws -> Int { Int(try redis.ask(["EVAL", script, "1", key])) ?? 0 }
}
