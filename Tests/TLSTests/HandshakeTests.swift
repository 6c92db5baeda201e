import Foundation
import NIOCore
import TLS
import Testing

@Suite("TLS handshakes, in memory")
struct HandshakeTests {
    let certificates: Certificates
    let relay: TLSCertificateFiles

    init() throws {
        certificates = try Certificates()
        relay = try certificates.issue("relay.test", addresses: ["127.0.0.1", "::1"])
    }

    private func server(_ files: TLSCertificateFiles? = nil, alpn: [String] = [], trust: String? = nil) throws -> TLSContext {
        try .server(TLSServerSettings(certificates: [files ?? relay], alpn: alpn, clientTrustFile: trust))
    }

    private func client(alpn: [String] = [], certificate: TLSCertificateFiles? = nil, version: TLSVersion = .tls13) throws -> TLSContext {
        try .client(TLSClientSettings(trustFile: certificates.ca, alpn: alpn, certificate: certificate, newestVersion: version))
    }

    // MARK: What both know

    @Test("1.3 is preferred, 1.2 is spoken, both with forward secrecy", arguments: [TLSVersion.tls13, .tls12])
    func versions(_ version: TLSVersion) throws {
        let pair = Pair(try client(version: version), try server()).shake()
        let handshake = try #require(pair.server.session.handshake)
        #expect(pair.isUp)
        #expect(handshake.version == version)
        #expect(pair.client.session.handshake?.version == version)
        #expect(handshake.cipher == (version == .tls13 ? "TLS_AES_128_GCM_SHA256" : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"))
        #expect(handshake.serverName == "relay.test")
        #expect(!handshake.wasResumed)
        #expect(pair.client.session.handshake?.peerNames.dns == ["relay.test"])
        #expect(handshake.peerNames == TLSPeerNames())
    }

    @Test("bytes that come one by one", arguments: [TLSVersion.tls13, .tls12], [1, 2, 7, 1_000])
    func pieces(_ version: TLSVersion, _ size: Int) throws {
        let pair = Pair(try client(version: version), try server()).shake(inPiecesOf: size)
        #expect(pair.isUp)
        try pair.client.encrypt("there")
        try pair.server.encrypt("and back")
        pair.exchange(inPiecesOf: size)
        #expect(pair.server.takeText() == "there")
        #expect(pair.client.takeText() == "and back")
    }

    @Test("a record cut at every byte gives the same text")
    func cuts() throws {
        let pair = Pair(try client(), try server()).shake()
        try pair.client.encrypt("probe")
        let length = pair.client.output.readableBytes
        pair.exchange()
        for cut in 1..<length {
            _ = pair.server.takePlaintext()
            try pair.client.encrypt("text \(cut % 10)")
            var record = pair.client.takeOutput()
            let head = record.readSlice(length: cut)
            pair.server.receive(try #require(head))
            #expect(pair.server.plaintext.readableBytes == 0)
            pair.server.receive(record)
            #expect(pair.server.takeText() == "text \(cut % 10)")
        }
        #expect(pair.isUp)
    }

    @Test("a client that gets its last handshake bytes and text at once")
    func earlyText() throws {
        let pair = Pair(try client(), try server())
        pair.client.start()
        pair.server.receive(pair.client.takeOutput())
        pair.client.receive(pair.server.takeOutput())
        try pair.client.encrypt("at once")
        pair.server.receive(pair.client.takeOutput())
        #expect(pair.server.takeText() == "at once")
        #expect(pair.server.session.handshake != nil)
    }

    // MARK: Application protocols

    @Test("the server's order of protocols counts, none in common is refused, none offered is not")
    func protocols() throws {
        let server = try server(alpn: ["h2", "http/1.1"])
        let both = Pair(try client(alpn: ["http/1.1", "h2"]), server).shake()
        #expect(both.client.session.handshake?.alpn == "h2")
        #expect(both.server.session.handshake?.alpn == "h2")
        #expect(Pair(try client(alpn: ["http/1.1"]), server).shake().server.session.handshake?.alpn == "http/1.1")
        let silent = Pair(try client(), server).shake()
        #expect(silent.isUp && silent.server.session.handshake?.alpn == nil)
        let other = Pair(try client(alpn: ["imap", "h"]), server).shake()
        #expect(other.server.fault?.label == "no_application_protocol")
        #expect(other.client.fault?.label == "alert_no_application_protocol")
        let indifferent = Pair(try client(alpn: ["imap"]), try self.server()).shake()
        #expect(indifferent.isUp && indifferent.server.session.handshake?.alpn == nil)
    }

    // MARK: Server names

    @Test("the certificate is chosen by name: exact before wildcard, the first for strangers")
    func serverNames() throws {
        let star = try certificates.issue("*.rooms.test")
        let exact = try certificates.issue("eu.rooms.test")
        let context = try TLSContext.server(TLSServerSettings(certificates: [relay, star, exact]))
        let expected = [
            "relay.test": "relay.test", "EU.rooms.test": "eu.rooms.test", "us.rooms.test": "*.rooms.test", "a.b.rooms.test": "relay.test",
            "rooms.test": "relay.test", "elsewhere.test": "relay.test",
        ]
        let trusting = try TLSContext.client(TLSClientSettings(trustFile: certificates.ca, verifiesName: false))
        for (name, certificate) in expected {
            let pair = Pair(trusting, context, name: name).shake()
            #expect(pair.client.session.handshake?.peerNames.dns == [certificate], "\(name)")
            #expect(pair.server.session.handshake?.serverName?.lowercased() == name.lowercased())
        }
        #expect(Pair(trusting, context, name: nil).shake().client.session.handshake?.peerNames.dns == ["relay.test"])
        #expect(Pair(try client(), context, name: "us.rooms.test").shake().isUp)
    }

    @Test("an IP address is verified and not asked for by name", arguments: ["127.0.0.1", "::1"])
    func addresses(_ address: String) throws {
        let pair = Pair(try client(), try server(), name: address).shake()
        #expect(pair.isUp)
        #expect(pair.server.session.handshake?.serverName == nil)
    }

    @Test("a server with another name is refused", arguments: ["other.test", "127.0.0.2", "x.relay.test"])
    func wrongName(_ name: String) throws {
        let pair = Pair(try client(), try server(), name: name).shake()
        #expect(pair.client.fault?.label == "wrong_name")
        #expect(pair.server.fault?.label == "alert_bad_certificate")
        #expect(pair.client.session.handshake == nil)
    }

    @Test("who verifies names must have one that can be asked for")
    func noName() throws {
        for (name, label) in [(nil, "no_server_name"), ("", "no_server_name"), (String(repeating: "a", count: 300), "bad_server_name")] {
            let pair = Pair(try client(), try server(), name: name)
            pair.client.start()
            #expect(pair.client.fault?.label == label)
            #expect(pair.client.output.readableBytes == 0)
        }
    }

    // MARK: Whom to trust

    @Test("servers of another authority, too old or too young ones, and certificates of clients")
    func serverCertificates() throws {
        let now = Int64(Date().timeIntervalSince1970)
        let expired = try certificates.issue("relay.test", validity: TLSValidity(notBefore: now - 9_000, notAfter: now - 1_000))
        #expect(Pair(try client(), try server(expired)).shake().client.fault?.label == "certificate_expired")
        let early = try certificates.issue("relay.test", validity: TLSValidity(notBefore: now + 1_000, notAfter: now + 9_000))
        #expect(Pair(try client(), try server(early)).shake().client.fault?.label == "certificate_not_yet_valid")
        let ofClient = try certificates.issue("relay.test", usage: .client)
        #expect(Pair(try client(), try server(ofClient)).shake().client.fault?.label == "wrong_purpose")
        let foreign = try Certificates()
        let stranger = Pair(try client(), try server(foreign.issue("relay.test"))).shake()
        #expect(stranger.client.fault?.label == "unknown_ca")
        #expect(stranger.server.fault?.label == "alert_unknown_ca")
    }

    @Test("clients must prove themselves where the server says so", arguments: [TLSVersion.tls13, .tls12])
    func clientCertificates(_ version: TLSVersion) throws {
        let server = try server(trust: certificates.ca)
        let uri = "spiffe://mesh/region/eu/node/eu-0"
        let own = try certificates.issue("eu-0", uris: [uri])
        let pair = Pair(try client(certificate: own, version: version), server).shake()
        #expect(pair.isUp)
        #expect(pair.server.session.handshake?.peerNames == TLSPeerNames(dns: ["eu-0"], uris: [uri]))

        #expect(Pair(try client(version: version), server).shake().server.fault?.label == "no_client_certificate")
        let now = Int64(Date().timeIntervalSince1970)
        let expired = try certificates.issue("eu-1", validity: TLSValidity(notBefore: now - 9_000, notAfter: now - 1_000))
        let late = Pair(try client(certificate: expired, version: version), server).shake()
        #expect(late.server.fault?.label == "certificate_expired")
        #expect(late.client.fault?.label == "alert_certificate_expired")
        let ofServer = try certificates.issue("eu-2", usage: .server)
        #expect(Pair(try client(certificate: ofServer, version: version), server).shake().server.fault?.label == "wrong_purpose")
        let foreign = try Certificates()
        let stranger = Pair(try client(certificate: foreign.issue("eu-0"), version: version), server).shake()
        #expect(stranger.server.fault?.label == "unknown_ca")
    }

    // MARK: Resumption

    @Test("a ticket resumes the session, once it is there", arguments: [TLSVersion.tls13, .tls12])
    func resumption(_ version: TLSVersion) throws {
        let (client, server) = (try client(alpn: ["h2"], version: version), try server(alpn: ["h2"]))
        let first = Pair(client, server).shake()
        let ticket = try #require(first.client.session.resumption)
        let second = Pair(client, server, resuming: ticket).shake()
        #expect(second.isUp)
        #expect(second.server.session.handshake?.wasResumed == true)
        #expect(second.client.session.handshake?.wasResumed == true)
        #expect(second.server.session.handshake?.alpn == "h2")
        try second.client.encrypt("again")
        second.exchange()
        #expect(second.server.takeText() == "again")

        let renewed = Pair(client, try self.server(alpn: ["h2"]), resuming: ticket).shake()
        #expect(renewed.isUp)
        #expect(renewed.server.session.handshake?.wasResumed == false, "the keys of a new context know nothing of old tickets")
    }

    @Test("who must prove a certificate proves it each time", arguments: [TLSVersion.tls13, .tls12])
    func noResumption(_ version: TLSVersion) throws {
        let server = try server(trust: certificates.ca)
        let client = try client(certificate: certificates.issue("eu-0"), version: version)
        let first = Pair(client, server).shake()
        #expect(first.isUp)
        let second = Pair(client, server, resuming: first.client.session.resumption).shake()
        #expect(second.isUp && second.server.session.handshake?.wasResumed == false)
    }
}
