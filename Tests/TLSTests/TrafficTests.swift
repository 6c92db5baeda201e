import NIOCore
import Testing

@testable import TLS

@Suite("TLS traffic and its end, in memory")
struct TrafficTests {
    let certificates: Certificates

    init() throws { certificates = try Certificates() }

    private func pair(_ version: TLSVersion) throws -> Pair {
        let server = try TLSContext.server(TLSServerSettings(certificates: [certificates.issue("relay.test")]))
        return Pair(try .client(TLSClientSettings(trustFile: certificates.ca, newestVersion: version)), server).shake()
    }

    @Test("256 KiB in one call, in records of 16 KiB", arguments: [TLSVersion.tls13, .tls12])
    func large(_ version: TLSVersion) throws {
        let pair = try pair(version)
        let bytes = (0..<(256 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try pair.server.encrypt(bytes)
        #expect(pair.server.output.readableBytes > bytes.count)
        #expect(pair.server.output.readableBytes < bytes.count + 17 * 64)
        pair.client.receive(pair.server.takeOutput(), inPiecesOf: 10_007)
        #expect(pair.client.takePlaintext() == bytes)
    }

    @Test("many small records in one read, both ways, in order")
    func many() throws {
        let pair = try pair(.tls13)
        var expected = ""
        for number in 0..<2_000 {
            try pair.client.encrypt("\(number),")
            try pair.server.encrypt("\(number),")
            expected += "\(number),"
        }
        pair.exchange()
        #expect(pair.server.takeText() == expected)
        #expect(pair.client.takeText() == expected)
    }

    @Test("keys are changed before they are worn out, and nobody notices", arguments: [TLSVersion.tls13, .tls12])
    func newKeys(_ version: TLSVersion) throws {
        let pair = try pair(version)
        pair.client.session.recordsPerKey = 3
        pair.server.session.recordsPerKey = 5
        for number in 0..<100 {
            try pair.client.encrypt("\(number)")
            try pair.server.encrypt("\(number)")
            pair.exchange(inPiecesOf: 7)
            #expect(pair.server.takeText() == "\(number)" && pair.client.takeText() == "\(number)")
        }
        #expect(pair.isUp)
    }

    @Test("who changes keys without end is refused")
    func endlessKeys() throws {
        let pair = try pair(.tls13)
        pair.client.session.recordsPerKey = 0
        var sent = 0
        while pair.server.fault == nil, sent < 20_000 {
            try pair.client.encrypt("x")
            pair.server.receive(pair.client.takeOutput())
            sent += 1
        }
        #expect(pair.server.fault?.label == "too_many_key_updates")
        #expect(sent > 1_000)
    }

    @Test("what stands in the caller's buffers stays there")
    func appends() throws {
        let pair = try pair(.tls13)
        pair.client.output = ByteBuffer(string: "before")
        try pair.client.encrypt("text")
        var sent = pair.client.takeOutput()
        #expect(sent.readString(length: 6) == "before")
        pair.server.plaintext = ByteBuffer(string: "kept ")
        pair.server.receive(sent)
        #expect(pair.server.takeText() == "kept text")
    }

    @Test("nothing is encrypted before the handshake is done, or after the end; no bytes are no record")
    func order() throws {
        let server = End(TLSSession(try .server(TLSServerSettings(certificates: [certificates.issue("a")]))))
        #expect { try server.encrypt("early") } throws: { ($0 as? TLSFault)?.label == "not_ready" }
        let pair = try pair(.tls13)
        try pair.client.encrypt([])
        #expect(pair.client.output.readableBytes == 0)
        pair.client.session.close(output: &pair.client.output)
        #expect { try pair.client.encrypt("late") } throws: { ($0 as? TLSFault)?.label == "closed" }
    }

    @Test("close_notify is said once and heard; the other direction goes on", arguments: [TLSVersion.tls13, .tls12])
    func closing(_ version: TLSVersion) throws {
        let pair = try pair(version)
        try pair.client.encrypt("last words")
        pair.client.session.close(output: &pair.client.output)
        let length = pair.client.output.readableBytes
        pair.client.session.close(output: &pair.client.output)
        #expect(pair.client.output.readableBytes == length)
        #expect(!pair.server.session.peerHasClosed)
        pair.server.receive(pair.client.takeOutput())
        #expect(pair.server.takeText() == "last words")
        #expect(pair.server.session.peerHasClosed)
        #expect(!pair.client.session.peerHasClosed)

        try pair.server.encrypt("answer")
        pair.server.session.close(output: &pair.server.output)
        pair.client.receive(pair.server.takeOutput())
        #expect(pair.client.takeText() == "answer")
        #expect(pair.client.session.peerHasClosed)
        pair.server.receive(ByteBuffer(string: "after the end"))
        #expect(pair.server.fault == nil && pair.server.takeText().isEmpty)
    }

    @Test("an end without close_notify can be told from a clean one")
    func truncation() throws {
        let pair = try pair(.tls13)
        try pair.client.encrypt("whole")
        try pair.client.encrypt("cut")
        let bytes = pair.client.takeOutput()
        pair.server.receive(bytes.getSlice(at: 0, length: bytes.readableBytes - 1) ?? bytes)
        #expect(pair.server.takeText() == "whole")
        #expect(!pair.server.session.peerHasClosed)
        #expect(pair.server.fault == nil)
    }

    @Test("closing before the handshake is done says nothing")
    func closingEarly() throws {
        let client = End(TLSSession(try .client(TLSClientSettings(trustFile: certificates.ca)), serverName: "relay.test"))
        client.start()
        let hello = client.output.readableBytes
        client.session.close(output: &client.output)
        #expect(client.output.readableBytes == hello)
    }
}
