import NIOCore

@testable import Store

/// What a Redis server sends.
///
/// The cuts of a stream change neither its replies nor whether it ends in a fault; and whatever a reply looks like, the store's
/// readers answer with a value or an error.
enum StoreRepliesTarget {
    private struct Outcome: Equatable {
        var replies: [RedisReply] = []
        var isFaulty = false
    }

    static func run(_ input: FuzzInput) {
        let whole = read([input.bytes])
        require(whole == read(input.pieces), "cuts change the replies: \(whole)")
        for reply in whole.replies { interpret(reply) }
    }

    private static func read(_ pieces: [ByteBuffer]) -> Outcome {
        // Above every input: this limit counts what was fed, so it is the one thing that the cuts may change.
        let reader = HiredisReader(replyBytesMax: 1 << 30)
        var outcome = Outcome()
        for piece in pieces where !outcome.isFaulty {
            do throws(HiredisFault) {
                try reader.feed(piece)
                while let reply = try reader.next() { outcome.replies.append(reply) }
            } catch {
                outcome.isFaulty = true
            }
        }
        return outcome
    }

    private static func interpret(_ reply: RedisReply) {
        let readers: [(RedisReply) throws -> Void] = [
            { _ = try $0.checked() }, { _ = try RedisReplyParsing.identity($0) }, { _ = try RedisReplyParsing.boot($0) },
            { _ = try RedisReplyParsing.roster($0) }, { _ = try RedisReplyParsing.standingRoster($0) },
            { _ = try RedisReplyParsing.optionalBoot($0) }, { _ = try RedisReplyParsing.opened($0) },
            { _ = try RedisReplyParsing.appended($0, 3) }, { _ = try RedisReplyParsing.newestMessages($0) },
            { _ = try RedisReplyParsing.optionalPosition($0) }, { _ = try RedisReplyParsing.epochs($0) },
            { _ = try RedisReplyParsing.members($0) }, { _ = try RedisReplyParsing.typing($0) },
            { _ = try RedisReplyParsing.optionalMilliseconds($0) },
        ]
        for read in readers {
            do { try read(reply) } catch { require(error is StoreError, "not an error of the store: \(error)") }
        }
    }
}
