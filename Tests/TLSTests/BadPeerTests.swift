import Foundation
import NIOCore
import Testing

@testable import TLS

@Suite("TLS against peers that do not keep to it")
struct BadPeerTests {
    let certificates: Certificates
    let context: TLSContext

    init() throws {
        certificates = try Certificates()
        context = try .server(TLSServerSettings(certificates: [certificates.issue("relay.test")]))
    }

    private func pair(_ version: TLSVersion = .tls13) throws -> Pair {
        Pair(try .client(TLSClientSettings(trustFile: certificates.ca, newestVersion: version)), context).shake()
    }

    /// A ClientHello of an older version, without the extension that names newer ones (RFC 4346, section 7.4.1.2).
    private func clientHello(minor: UInt8) -> ByteBuffer {
        let suites: [UInt8] = [0xC0, 0x09, 0xC0, 0x13, 0x00, 0x2F]
        let body: [UInt8] = [3, minor] + [UInt8](repeating: 7, count: 32) + [0, 0, UInt8(suites.count)] + suites + [1, 0]
        let message: [UInt8] = [1, 0, 0, UInt8(body.count)] + body
        return ByteBuffer(bytes: [0x16, 3, 1, 0, UInt8(message.count)] + message)
    }

    @Test(
        "TLS 1.1 and older are refused by an alert, as far as they know it", arguments: zip([0, 1, 2] as [UInt8], [40, 70, 70] as [UInt8]))
    func oldVersions(_ minor: UInt8, _ alert: UInt8) {
        let server = End(TLSSession(context))
        server.receive(clientHello(minor: minor))
        #expect(server.fault?.label == "protocol_version")
        #expect(Array(server.output.readableBytesView.suffix(2)) == [2, alert], "fatal: handshake_failure, protocol_version")
    }

    @Test(
        "what is not TLS is told as that",
        arguments: [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "hello there, who are you?",
        ])
    func plaintext(_ text: String) {
        let server = End(TLSSession(context))
        server.receive(ByteBuffer(string: text))
        #expect(server.fault?.label == "not_tls")
        #expect(server.session.handshake == nil)
    }

    @Test("random bytes end in a fault or wait for more, and after a fault nothing goes on")
    func garbage() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(state: seed)
        for _ in 0..<500 {
            let server = End(TLSSession(context))
            var bytes = (0..<Int.random(in: 1...600, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if Bool.random(using: &random) { bytes.replaceSubrange(0..<min(3, bytes.count), with: [0x16, 3, 1].prefix(bytes.count)) }
            server.receive(ByteBuffer(bytes: bytes), inPiecesOf: Int.random(in: 1...100, using: &random))
            #expect(server.session.handshake == nil, "seed \(seed)")
            #expect(server.plaintext.readableBytes == 0, "seed \(seed)")
            guard let fault = server.fault else { continue }
            server.fault = nil
            server.receive(ByteBuffer(bytes: [0]))
            #expect(server.fault == fault, "seed \(seed)")
        }
    }

    @Test("a changed bit in any byte of a record is found", arguments: [TLSVersion.tls13, .tls12])
    func changedRecord(_ version: TLSVersion) throws {
        let length = try {
            let pair = try pair(version)
            try pair.client.encrypt("secret")
            return pair.client.output.readableBytes
        }()
        // The first bytes are the header, which an older peer may vary without harm.
        for index in stride(from: 5, to: length, by: 3) {
            let pair = try pair(version)
            try pair.client.encrypt("secret")
            var bytes = Array(pair.client.takeOutput().readableBytesView)
            bytes[index] ^= 0x10
            pair.server.receive(ByteBuffer(bytes: bytes))
            #expect(pair.server.fault?.label == "bad_record", "byte \(index)")
            #expect(pair.server.output.readableBytes > 0, "an alert")
            #expect(pair.server.takeText().isEmpty)
            pair.client.receive(pair.server.takeOutput())
            #expect(pair.client.fault?.label == "alert_bad_record_mac")
            #expect(throws: TLSFault.self) { try pair.server.encrypt("more") }
        }
    }

    @Test("a record above 2^14 bytes is refused by its header")
    func longRecord() throws {
        let pair = try pair()
        pair.server.receive(ByteBuffer(bytes: [0x17, 3, 3, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 32)))
        #expect(pair.server.fault?.label == "bad_record")
    }

    @Test("a handshake without an end costs what it may, not what it sends")
    func endlessHandshake() {
        let server = End(TLSSession(context))
        // A ClientHello that announces more than a handshake message may have, then one just below, in endless pieces.
        server.receive(ByteBuffer(bytes: [0x16, 3, 1, 0x40, 0, 1, 0xFF, 0xFF, 0xFF]) + [UInt8](repeating: 0, count: 16_380))
        #expect(server.fault?.label == "handshake_too_large")

        let patient = End(TLSSession(context))
        let piece = ByteBuffer(bytes: [0x16, 3, 1, 0x40, 0] + [1, 1, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 16_380))
        let next = ByteBuffer(bytes: [0x16, 3, 1, 0x40, 0] + [UInt8](repeating: 0, count: 16_384))
        patient.receive(piece)
        var sent = piece.readableBytes
        while patient.fault == nil, sent < 1 << 20 {
            patient.receive(next)
            sent += next.readableBytes
        }
        #expect(patient.fault?.label == "handshake_too_large")
        #expect(sent <= TLSSession.handshakeBytesMax + next.readableBytes)
    }

    @Test("a chain of certificates beyond the bound is refused while it comes", arguments: [TLSVersion.tls13, .tls12])
    func longChain(_ version: TLSVersion) throws {
        let own = try certificates.issue("eu-0")
        let one = try String(contentsOfFile: own.chain, encoding: .utf8) + certificates.authority.certificate
        let most = TLSContext.certificateBytesMax
        for (copies, isTaken) in [(1, true), (120, false), (400, false)] {
            let more = String(repeating: certificates.authority.certificate, count: copies)
            let files = TLSCertificateFiles(chain: try certificates.file("long.pem", one + more), key: own.key)
            let client = try TLSContext.client(
                TLSClientSettings(trustFile: certificates.ca, certificate: files, newestVersion: version))
            let demanding = try TLSContext.server(
                TLSServerSettings(certificates: [certificates.issue("relay.test")], clientTrustFile: certificates.ca))
            let pair = Pair(client, demanding).shake()
            #expect((pair.server.fault == nil) == isTaken, "\(copies) copies of about 400 bytes, at most \(most) in all")
            if !isTaken { #expect(pair.server.fault?.label == "handshake_too_large") }
        }
    }

    @Test("a second ClientHello, in the clear, ends the connection")
    func secondHello() throws {
        let pair = try pair(.tls12)
        pair.server.receive(clientHello(minor: 3))
        #expect(pair.server.fault != nil)
        #expect(pair.server.session.handshake != nil)
    }
}

/// SplitMix64: the same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

private func + (a: ByteBuffer, b: [UInt8]) -> ByteBuffer {
    var sum = a
    sum.writeBytes(b)
    return sum
}
