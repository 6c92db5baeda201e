import MeshCore
import NIOCore
import Testing
import Wire

@testable import Transport

@Suite("What a connection speaks, by its first bytes")
struct ProtocolSnifferTests {
    private func classify(_ text: String) -> ProtocolSniffer.Verdict { ProtocolSniffer.classify(ByteBuffer(string: text)) }

    @Test("HTTP/2's preface is known when it is whole, and undecided until then") func preface() {
        let preface = ProtocolSniffer.preface
        for count in 0..<preface.count {
            #expect(ProtocolSniffer.classify(ByteBuffer(bytes: preface.prefix(count))) == .undecided, "\(count) bytes")
        }
        #expect(ProtocolSniffer.classify(ByteBuffer(bytes: preface)) == .http2)
        #expect(ProtocolSniffer.classify(ByteBuffer(bytes: preface + [0, 0, 0, 4])) == .http2)
    }

    @Test(
        "everything else that is no TLS is left to HTTP/1.1",
        arguments: ["G", "POST /", "PR ", "PRI / HTTP/1.1", "\r\n", "\u{0}", "\u{17}"])
    func http1(_ text: String) {
        #expect(classify(text) == .http1)
    }

    @Test("a wrong byte anywhere in the preface decides at once") func broken() {
        for place in ProtocolSniffer.preface.indices {
            var bytes = Array(ProtocolSniffer.preface.prefix(place + 1))
            bytes[place] ^= 0x20
            #expect(ProtocolSniffer.classify(ByteBuffer(bytes: bytes)) == .http1, "byte \(place)")
        }
    }

    @Test("TLS begins with a handshake record") func tls() {
        #expect(ProtocolSniffer.classify(ByteBuffer(bytes: [22])) == .tls)
        #expect(ProtocolSniffer.classify(ByteBuffer(bytes: [22, 3, 1, 2, 0])) == .tls)
        #expect(ProtocolSniffer.classify(ByteBuffer(bytes: [21, 3, 1])) == .http1)
    }
}

@Suite("Connections of an address")
struct AddressLimitTests {
    private func key(_ address: String) throws -> AddressLimit.Key {
        try #require(AddressLimit.Key(SocketAddress(ipAddress: address, port: 1)))
    }

    @Test("so many, then one for each that leaves") func limit() throws {
        let limit = AddressLimit(most: 2)
        let (one, other) = try (key("192.0.2.1"), key("192.0.2.2"))
        #expect(limit.enter(one) && limit.enter(one) && !limit.enter(one))
        #expect(limit.enter(other), "others are not concerned")
        limit.leave(one)
        #expect(limit.enter(one) && !limit.enter(one))
        for _ in 0..<5 { limit.leave(one) }
        #expect(limit.enter(one) && limit.enter(one) && !limit.enter(one), "never below none")
    }

    @Test("a network of IPv6 is one address; mapped IPv4 is what it is; ports do not matter") func keys() throws {
        #expect(try key("2001:db8::1") == key("2001:db8::ffff:2"))
        #expect(try key("2001:db8::1") != key("2001:db8:0:1::1"))
        #expect(try key("::ffff:192.0.2.1") == key("192.0.2.1"))
        #expect(try key("::ffff:192.0.2.1") != key("::ffff:192.0.2.2"))
        #expect(try AddressLimit.Key(SocketAddress(ipAddress: "192.0.2.1", port: 9)) == key("192.0.2.1"))
        #expect(AddressLimit.Key(nil) == nil)
        #expect(try AddressLimit.Key(SocketAddress(unixDomainSocketPath: "/tmp/x")) == nil)
    }
}

@Suite("Last words to clients of the wrong protocol")
struct RefusalsTests {
    @Test("an answer of HTTP/1.1 whose length is right") func http1() throws {
        let text = String(decoding: Refusals.http1, as: UTF8.self)
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        let head = parts[0].split(separator: "\r\n")
        #expect(head.first == "HTTP/1.1 400 Bad Request" && head.contains("connection: close"))
        #expect(head.contains("content-length: \(parts[1].utf8.count)") && parts[1].contains("TLS"))
    }

    @Test("frames of HTTP/2: SETTINGS, then GOAWAY with INADEQUATE_SECURITY") func http2() {
        var bytes = ByteBuffer(bytes: Refusals.http2)
        let settings = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt32).self)
        #expect(settings.map { $0 == (4, 0, 0) } == true)
        let goaway = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt32, UInt32, UInt32).self)
        #expect(goaway.map { $0 == (8 << 8 | 7, 0, 0, 0, 12) } == true)
        #expect(bytes.readableBytes == 0)
    }

    @Test("a fatal alert of TLS") func alert() { #expect(Refusals.alert == [21, 3, 1, 0, 2, 2, 40]) }
}
