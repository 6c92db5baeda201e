import MeshCore
import NIOCore
import SwiftProtobuf
import Testing
import Wire

@Suite struct MessageBodyTests {
    @Test(arguments: 0..<200) func handWrittenEqualsSwiftProtobuf(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var expected = randomMessage(using: &random)
        expected.clearPosition()
        expected.clearAt()
        expected.headers[String(repeating: "n", count: seed)] = String(repeating: "v", count: 2 * seed)
        let hasContentType = expected.hasContentType
        // The edge sets these in any case.
        (expected.room, expected.from, expected.device, expected.key) = (expected.room, expected.from, expected.device, expected.key)
        expected.contentType = expected.contentType
        let publish = RelayPublish.with {
            $0.room = expected.room
            switch expected.content {
            case .text(let text): $0.text = text
            case .data(let data): $0.data = data
            case nil: break
            }
            if hasContentType { $0.contentType = expected.contentType }
            $0.headers = expected.headers
        }
        let body = MessageBody.encode(publish, from: expected.from, device: expected.device, key: expected.key)
        #expect(MessageBody.decode(body) == expected, "seed \(seed)")
        expected.at = 1_700_000_000_000
        #expect(MessageBody.decode(MessageBody.stamped(body, at: expected.at)) == expected, "seed \(seed)")
    }
}
