import Foundation
import Logging
import Membership
import MeshCore
import NIOCore
import NIOPosix
import TLS
import Testing

@testable import Transport

/// Certificates of the nodes of a mesh, in a folder that ends with this object.
private final class MeshCertificates {
    private let folder = NSTemporaryDirectory() + "hg-mesh-tls-\(UUID().uuidString.prefix(8))"
    private let authority: TLSAuthority

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        authority = try TLSAuthority.make(name: "test", validity: .days(1))
        try authority.write(to: files("ca"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func files(_ name: String) -> TLSCertificateFiles {
        TLSCertificateFiles(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
    }

    private func issue(_ name: String, mesh: String, usage: TLSCertificateRequest.Usage, _ validity: TLSValidity) throws
        -> TLSCertificateFiles
    {
        let uri = LinkedNode.node(name).certificateName(mesh: mesh)
        try authority.issue(TLSCertificateRequest(name: name, uris: [uri], usage: usage, validity: validity)).write(to: files(name))
        return files(name)
    }

    /// What a node is given; each with a certificate of the other sort than it needs where a test says so.
    func encryption(
        _ name: String, mesh: String = "test", usage: TLSCertificateRequest.Usage = .both, validity: TLSValidity = .days(1)
    ) throws -> LinkEncryption {
        let identity = try issue(name, mesh: mesh, usage: usage, validity)
        let ca = files("ca").chain
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return LinkEncryption(
            accepting: try TLSCredentials(.server(TLSServerSettings(certificates: [identity], clientTrustFile: ca)), logger: logger),
            dialling: try TLSCredentials(
                .client(TLSClientSettings(trustFile: ca, certificate: identity, verifiesName: false)), logger: logger))
    }

    /// A client of a kind that a node is not.
    func client(certificate name: String?) throws -> TLSContext {
        let identity = try name.map { try issue($0, mesh: "test", usage: .both, .days(1)) }
        return try .client(TLSClientSettings(trustFile: files("ca").chain, certificate: identity, verifiesName: false))
    }
}

@Suite("Mesh links: mutual TLS", .timeLimit(.minutes(1)))
struct MeshEncryptionTests {
    private let certificates: MeshCertificates

    init() throws { certificates = try MeshCertificates() }

    /// `a` dials `b`.
    private func dial(
        _ dialling: LinkEncryption?, _ accepting: LinkEncryption?, _ body: (LinkedNode, LinkedNode) async throws -> Void
    ) async throws {
        let b = try await LinkedNode.start("b", encryption: accepting)
        try await b.setPeers(["a": 1])
        let a = try await LinkedNode.start("a", encryption: dialling)
        try await a.setPeers(["b": try await b.port()])
        try await body(a, b)
        try await a.stop()
        try await b.stop()
    }

    /// Neither comes up, both count their reason, and the dialler tries again.
    private func expectRefusal(
        _ dialling: LinkEncryption?, _ accepting: LinkEncryption?, dialler: String?, acceptor: String?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await dial(dialling, accepting) { a, b async throws -> Void in
            if let dialler {
                try await eventually("a counts \(dialler)", sourceLocation: sourceLocation) { try await a.ends(dialler) >= 2 }
            }
            if let acceptor {
                try await eventually("b counts \(acceptor)", sourceLocation: sourceLocation) { try await b.ends(acceptor) >= 2 }
            }
            #expect(a.events.isEmpty && b.events.isEmpty, sourceLocation: sourceLocation)
        }
    }

    @Test("nodes with their own certificates link, and frames pass both ways")
    func links() async throws {
        try await dial(certificates.encryption("a"), certificates.encryption("b")) { a, b async throws -> Void in
            let (up, down) = (try await a.linkUp(), try await b.linkUp())
            #expect(a.ups == [b.id] && b.ups == [a.id])
            let long = String(repeating: "x", count: 200_000)
            up.send(frame("there"), lane: .tree)
            up.send(frame(long), lane: .tree)
            down.send(frame("and back", .control), lane: .control)
            try await eventually("frames arrive") { b.texts(.tree).count == 2 && a.texts(.control) == ["and back"] }
            #expect(b.texts(.tree) == ["there", "bytes 200000"])
        }
    }

    @Test("an end is in order: the peer hears of it as of one in the clear")
    func end() async throws {
        try await dial(certificates.encryption("a"), certificates.encryption("b")) { a, b async throws -> Void in
            _ = try await a.linkUp()
            _ = try await b.linkUp()
            try await a.stop()
            try await eventually("b hears of it") { b.downs.count == 1 }
            #expect(b.downs == ["closed by the peer"])
        }
    }

    @Test("a certificate of another node or mesh is refused, by whoever sees it")
    func wrongNames() async throws {
        let (a, b) = (try certificates.encryption("a"), try certificates.encryption("b"))
        try await expectRefusal(certificates.encryption("c"), b, dialler: "refused_by_peer", acceptor: "refused")
        try await expectRefusal(certificates.encryption("a", mesh: "other"), b, dialler: "refused_by_peer", acceptor: "refused")
        try await expectRefusal(a, certificates.encryption("c"), dialler: "refused", acceptor: "refused_by_peer")
    }

    @Test("expired certificates, those of another authority, and those for something else")
    func wrongCertificates() async throws {
        let now = Int64(Date().timeIntervalSince1970)
        let past = TLSValidity(notBefore: now - 9_000, notAfter: now - 1_000)
        let (a, b) = (try certificates.encryption("a"), try certificates.encryption("b"))
        let foreign = try MeshCertificates()
        try await expectRefusal(
            certificates.encryption("a", validity: past), b, dialler: "tls_alert_certificate_expired", acceptor: "tls_certificate_expired")
        try await expectRefusal(
            a, certificates.encryption("b", validity: past), dialler: "tls_certificate_expired", acceptor: "tls_alert_certificate_expired")
        try await expectRefusal(foreign.encryption("a"), b, dialler: "tls_unknown_ca", acceptor: "tls_alert_unknown_ca")
        try await expectRefusal(
            certificates.encryption("a", usage: .server), b, dialler: "tls_alert_unsupported_certificate", acceptor: "tls_wrong_purpose")
    }

    @Test("one side in the clear")
    func clear() async throws {
        try await expectRefusal(nil, certificates.encryption("b"), dialler: nil, acceptor: "tls_not_tls")
        try await expectRefusal(certificates.encryption("a"), nil, dialler: "tls_not_tls", acceptor: nil)
    }

    @Test("who has no certificate is refused, and those that are linked do not notice")
    func noCertificate() async throws {
        try await dial(certificates.encryption("a"), certificates.encryption("b")) { a, b async throws -> Void in
            _ = try await a.linkUp()
            let port = try await b.port()
            let stranger = try await RawPeer.connect(to: port)
            let session = Handshaker(try certificates.client(certificate: nil))
            try await session.run(on: stranger)
            try await eventually("it is refused") { try await b.ends("tls_no_client_certificate") == 1 }
            #expect(try await b.drops(.linkRefused) == 1)
            #expect(a.downs.isEmpty && b.downs.isEmpty)
        }
    }

    @Test("connections that never shake hands have their bound, and their time")
    func bounds() async throws {
        var settings = LinkSettings.quick
        settings.handshakesMax = 2
        settings.handshakeTimeout = .seconds(60)
        let b = try await LinkedNode.start("b", settings: settings, encryption: certificates.encryption("b"))
        try await b.setPeers(["a": 1])
        var silent: [RawPeer] = []
        for _ in 0..<3 { silent.append(try await RawPeer.connect(to: try await b.port())) }
        try await eventually("one too many") { try await b.ends("too_many_handshakes") == 1 }
        let peers = silent
        try await eventually("it is closed") { peers.count(where: \.isClosed) == 1 }
        try await b.stop()

        settings.handshakeTimeout = .milliseconds(50)
        let hasty = try await LinkedNode.start("b", settings: settings, encryption: certificates.encryption("b"))
        let late = try await RawPeer.connect(to: try await hasty.port())
        try await eventually("in time") { try await hasty.ends("tls_handshake_timeout") == 1 }
        try await eventually("it is closed") { late.isClosed }
        try await hasty.stop()
    }

    @Test("new certificates count for the next link, the one that stands stays")
    func reload() async throws {
        let accepting = try certificates.encryption("b")
        try await dial(certificates.encryption("a"), accepting) { a, b async throws -> Void in
            let link = try await a.linkUp()
            _ = try certificates.encryption("b")
            accepting.accepting.reload()
            #expect(accepting.accepting.figures.reloads == 1)
            link.send(frame("still"), lane: .tree)
            try await eventually("the link stands") { b.texts(.tree) == ["still"] }
            #expect(a.downs.isEmpty)
        }
    }
}

/// Drives a handshake over a raw connection until nothing more comes of it.
private final class Handshaker {
    private let session: TLSSession

    init(_ context: TLSContext) { session = TLSSession(context) }

    func run(on peer: RawPeer) async throws {
        var (taken, isOver) = (0, false)
        var output = ByteBuffer()
        try session.start(output: &output)
        while !isOver, session.handshake == nil {
            if output.readableBytes > 0 { try await peer.send(output) }
            output = ByteBuffer()
            try await eventually("an answer") { [taken] in peer.receivedBytes > taken || peer.isClosed }
            var news = peer.receivedSoFar
            news.moveReaderIndex(forwardBy: taken)
            taken += news.readableBytes
            var plaintext = ByteBuffer()
            do { try session.receive(news, plaintext: &plaintext, output: &output) } catch { isOver = true }
            isOver = isOver || peer.isClosed
        }
        if output.readableBytes > 0 { try await peer.send(output) }
    }
}
