import NIOCore
import Testing

@testable import Store

@Suite struct HiredisTests {
    private func replies(_ text: String, chunk: Int = .max, replyBytesMax: Int = 1 << 20) throws -> [RedisReply] {
        let reader = HiredisReader(replyBytesMax: replyBytesMax)
        var bytes = ByteBuffer(string: text)
        var replies: [RedisReply] = []
        while bytes.readableBytes > 0 {
            try reader.feed(bytes.readSlice(length: min(chunk, bytes.readableBytes)) ?? ByteBuffer())
            while let reply = try reader.next() { replies.append(reply) }
        }
        return replies
    }

    private func bulk(_ text: String) -> RedisReply { .bulk(ByteBuffer(string: text)) }

    @Test(arguments: [1, 2, 3, 7, .max])
    func readsRepliesInPiecesOfAnySize(_ chunk: Int) throws {
        let text = "+OK\r\n-ERR no\r\n:-7\r\n$5\r\na\0\r\nb\r\n$0\r\n\r\n$-1\r\n*-1\r\n*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n*0\r\n"
        #expect(
            try replies(text, chunk: chunk) == [
                .status("OK"), .error("ERR no"), .integer(-7), bulk("a\0\r\nb"), bulk(""), .null, .null,
                .array([.integer(1), .array([bulk("x"), .null]), .array([])]),
            ])
    }

    @Test(arguments: [
        "?what\r\n", "HTTP/1.1 400 Bad Request\r\n", "*2147483647\r\n", "*1048577\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ])
    func refusesWhatIsNotAReplyOrTooMuch(_ text: String) {
        #expect(throws: HiredisFault.self) { try replies(text) }
    }

    @Test func boundsTheBytesOfOneReply() throws {
        let small = "$10\r\n0123456789\r\n"
        #expect(try replies(String(repeating: small, count: 50), chunk: 8, replyBytesMax: 40).count == 50)
        #expect(throws: HiredisFault.self) {
            try replies("$1000000000\r\n" + String(repeating: "x", count: 100), chunk: 8, replyBytesMax: 40)
        }
    }

    @Test func formatsArgumentsAsBytes() {
        var command = RedisCommand("SET", "a key")
        command.append(ByteBuffer(bytes: [0, 13, 10, 255]))
        command.append("")
        command.append(42)
        var expected = ByteBuffer(string: "*5\r\n$3\r\nSET\r\n$5\r\na key\r\n$4\r\n")
        expected.writeBytes([0, 13, 10, 255])
        expected.writeString("\r\n$0\r\n\r\n$2\r\n42\r\n")
        #expect(command.formatted() == expected)
    }
}
