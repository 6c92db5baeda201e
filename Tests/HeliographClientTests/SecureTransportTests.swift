import Foundation
import MeshCore
import NIOCore
import TLS
import Testing
import Wire

@testable import HeliographClient

/// An authority in a folder that ends with this object, and what it has signed.
private final class Authority {
    let folder: String
    let ca: String
    private let authority: TLSAuthority

    init() throws {
        folder = NSTemporaryDirectory() + "heliograph-client-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        authority = try TLSAuthority.make(name: "test authority", validity: .days(1))
        ca = folder + "/ca.pem"
        try authority.write(to: TLSCertificateFiles(chain: ca, key: folder + "/ca.key"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func issue(_ name: String, dns: [String] = [], addresses: [String] = []) throws -> TLSCertificateFiles {
        let files = TLSCertificateFiles(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
        try authority.issue(TLSCertificateRequest(name: name, dns: dns, addresses: addresses, validity: .days(1))).write(to: files)
        return files
    }
}

@Suite(.timeLimit(.minutes(1))) struct SecureTransportTests {
    private let authority: Authority
    private let certificate: TLSCertificateFiles

    init() throws {
        authority = try Authority()
        certificate = try authority.issue("relay", addresses: ["127.0.0.1"])
    }

    private func relay(
        _ transport: ClientTransport, _ certificate: TLSCertificateFiles? = nil, alpn: [String] = ["h2", "http/1.1"],
        clients: String? = nil,
        script: @escaping FakeRelay.Script = { frame, peer in _ = welcome(frame, peer) || subscribed(frame, peer) }
    ) async throws -> FakeRelay {
        let settings = TLSServerSettings(certificates: [certificate ?? self.certificate], alpn: alpn, clientTrustFile: clients)
        return try await FakeRelay.start(FakeRelay.Manner(door: .init(transport), tls: .server(settings)), script: script)
    }

    private func options(_ transport: ClientTransport) -> ClientOptions {
        var options = quickOptions(transport)
        options.tls.trustFile = authority.ca
        return options
    }

    /// The label of the fault with which a connection does not come about.
    private func fault(_ relay: FakeRelay, _ options: ClientOptions) async -> String? {
        do {
            let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options)
            await client.close()
            return nil
        } catch HeliographClientError.tls(let fault) {
            return fault.label
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: everyTransport) func talksOverTLS(transport: ClientTransport) async throws {
        let relay = try await relay(transport)
        #expect(relay.url.hasPrefix("wss:"))
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options(transport))
        #expect(client.welcome.user == "alice")
        #expect(try await client.subscribe(room: "lobby").memberCount == 1)
        await client.close()
        await relay.stop()
    }

    @Test func whomItDoesNotTrustItLeaves() async throws {
        let relay = try await relay(.grpc)
        var options = options(.grpc)
        let strange = try Authority()
        options.tls.trustFile = strange.ca
        #expect(await fault(relay, options) == "unknown_ca")
        options.tls.trustFile = nil
        withExtendedLifetime(strange) {}
        #expect(await fault(relay, options) == "unknown_ca", "the system's authorities have not signed it")
        await relay.stop()
    }

    @Test func theNameCountsUnlessToldOtherwise() async throws {
        let relay = try await relay(.ndjson, authority.issue("other", dns: ["other.test"]))
        var options = options(.ndjson)
        #expect(await fault(relay, options) == "wrong_name")
        options.tls.verifiesName = false
        #expect(await fault(relay, options) == nil)
        await relay.stop()
    }

    @Test func aServerThatAsksForACertificateGetsIt() async throws {
        let relay = try await relay(.webSocketOverHTTP2(), clients: authority.ca)
        var options = options(.webSocketOverHTTP2())
        let refusal = await fault(relay, options)
        #expect(refusal?.hasPrefix("alert_") == true, "\(refusal ?? "let in")")
        options.tls.certificate = try authority.issue("alice", dns: ["alice.test"])
        #expect(await fault(relay, options) == nil)
        await relay.stop()
    }

    @Test func withoutHTTP2InALPNThereAreNoStreams() async throws {
        let deaf = try await relay(.grpc, alpn: [])
        #expect(await fault(deaf, options(.grpc))?.contains("ALPN h2") == true)
        let old = try await relay(.webSocket(), alpn: ["http/1.1"])
        #expect(await fault(old, options(.grpc)) == "alert_no_application_protocol")
        #expect(await fault(old, options(.webSocket())) == nil)
        await deaf.stop()
        await old.stop()
    }

    @Test(arguments: everyTransport) func aServerWithoutTLSIsTyped(transport: ClientTransport) async throws {
        let greeting = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        let relay = try await FakeRelay.start(FakeRelay.Manner(greeting: greeting)) { _, _ in }
        await #expect {
            let url = relay.url.replacing("ws://", with: "https://")
            _ = try await HeliographClient.connect(url: url, token: "x", options: options(transport))
        } throws: { error in
            if case HeliographClientError.tls(let fault) = error { fault.label == "not_tls" } else { false }
        }
        await relay.stop()
    }

    @Test func filesThatCannotBeUsedAreTyped() async throws {
        var options = quickOptions
        options.tls.trustFile = authority.folder + "/nowhere.pem"
        await #expect {
            _ = try await HeliographClient.connect(url: "wss://127.0.0.1:1", token: "x", options: options)
        } throws: { error in
            if case HeliographClientError.invalidTLSSettings(let reason) = error { reason.contains("nowhere.pem") } else { false }
        }
    }

    /// A fault that time does not mend is not tried again, wherever it comes up.
    @Test func anEdgeThatIsNotTrustedIsTheEnd() async throws {
        let strange = try Authority()
        let edge = try await relay(.grpc, strange.issue("edge", addresses: ["127.0.0.1"]))
        let url = edge.url
        let first = try await relay(.grpc) { frame, peer in
            if welcome(frame, peer) { peer.goodbye(4000, edges: [url]) }
        }
        let client = try await HeliographClient.connect(url: first.url, token: "alice", options: options(.grpc))
        await #expect {
            for try await _ in client.pushes {}
        } throws: { error in
            if case HeliographClientError.disconnected(.tls(let fault)) = error { fault.label == "unknown_ca" } else { false }
        }
        await first.stop()
        await edge.stop()
    }

    @Test(arguments: everyTransport) func comesBackOverTLS(transport: ClientTransport) async throws {
        let resumed = Seen<Bool>()
        let relay = try await relay(transport) { frame, peer in
            resumed.add(peer.wasResumed)
            if welcome(frame, peer), peer.number == 1 { peer.drop() }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: options(transport))
        let pushes = try await collect(client) { if case .reconnected = $0 { true } else { false } }
        guard case .reconnected(let welcome)? = pushes.last else { return #expect(Bool(false), "\(pushes)") }
        #expect(welcome.session == "s2")
        #expect(resumed.all == [false, true], "the second handshake is a short one")
        await client.close()
        await relay.stop()
    }

    @Test func aGetOverTLS() async throws {
        let settings = TLSServerSettings(certificates: [certificate], alpn: ["h2", "http/1.1"])
        let answer = Array("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere".utf8)
        let relay = try await FakeRelay.start(FakeRelay.Manner(tls: .server(settings), greeting: answer)) { _, _ in }
        let url = relay.url.replacing("wss://", with: "https://") + "/v1/ping"
        var tls = ClientTLSOptions(trustFile: authority.ca)
        let got = try await HTTPGet.fetch(url, tls: tls)
        #expect(got.status == 200 && String(buffer: got.body) == "here")
        await #expect {
            _ = try await HTTPGet.fetch(url)
        } throws: { error in
            if case HTTPGetError.unreachable(url, let cause) = error { cause.contains("certificate") } else { false }
        }
        tls.trustFile = authority.folder + "/nowhere.pem"
        await #expect(throws: HTTPGetError.cannotTrust("\(authority.folder)/nowhere.pem: No such file or directory")) {
            try await HTTPGet.fetch(url, tls: tls)
        }
        await relay.stop()
    }
}
