import Foundation
import HeliographClient
import LocalMesh
import MeshCore
import NIOCore
import Testing
import Wire

/// The client listener of an encrypted mesh.
@Suite("Encrypted doors", .serialized, .mesh(yaml: "timings:\n  handshakeTimeout: 3s\n", tls: true), .timeLimit(.minutes(3)))
struct EncryptedDoorTests {
    let mesh: MeshUnderTest
    let node: LocalMesh.Node
    let ca: String

    init() async throws {
        mesh = try .current
        node = try await mesh.node("eu-west")
        ca = try #require(mesh.local.trustFile)
    }

    private func drops(_ reason: String) async throws -> Double {
        let answer = try await HTTPGet.fetch(
            node.operationsURL + "/metrics", tls: ClientTLSOptions(trustFile: ca), timeout: .seconds(5))
        return try Metrics(String(buffer: answer.body)).drops(reason)
    }

    // MARK: Clients

    @Test("clients of every door", arguments: ["client_test.py", "grpc_test.py", "ndjson_test.py", "websocket_h2_test.py"])
    func clients(_ script: String) async throws { try await mesh.expectPasses(script) }

    @Test("Chromium opens wss:// over the HTTP/2 connection of its page") func chromium() async throws {
        try await mesh.expectPasses("chromium_test.py")
    }

    @Test("protocols, resumption, records cut anywhere", arguments: ["protocols", "resumption", "records_cut_anywhere"])
    func handshakes(_ name: String) async throws { try await mesh.expectPasses("tls_abuse.py", name) }

    @Test("sslyze has nothing to say against the listener") func scan() async throws { try await mesh.expectPasses("tls_scan_test.py") }

    // MARK: openssl s_client

    private func openssl(_ arguments: String...) throws -> RunningProgram {
        let address = node.clientURL.replacingOccurrences(of: "https://", with: "")
        return try RunningProgram("openssl", ["s_client", "-connect", address, "-CAfile", ca, "-verify_return_error"] + arguments)
    }

    private func handshake(_ arguments: String...) async throws -> Program.Result {
        let address = node.clientURL.replacingOccurrences(of: "https://", with: "")
        return try await Program.run("openssl", ["s_client", "-connect", address, "-CAfile", ca, "-verify_return_error"] + arguments)
    }

    @Test("TLS 1.3 and 1.2, and nothing older") func versions() async throws {
        let newest = try await handshake("-alpn", "h2,http/1.1")
        #expect(newest.code == 0 && newest.output.contains("New, TLSv1.3") && newest.output.contains("ALPN protocol: h2"))
        let older = try await handshake("-tls1_2", "-alpn", "http/1.1")
        #expect(older.code == 0 && older.output.contains("New, TLSv1.2") && older.output.contains("ALPN protocol: http/1.1"))
        let before = try await drops("tls_fault")
        for old in ["-tls1_1", "-tls1"] {
            let refused = try await handshake(old, "-cipher", "DEFAULT@SECLEVEL=0")
            #expect(refused.code != 0 && refused.errors.contains("alert protocol version"), "\(old): \(refused.errors)")
        }
        #expect(try await drops("tls_fault") == before + 2)
    }

    @Test("a session is resumed, and never renegotiated") func resumption() async throws {
        for version in ["-tls1_2", "-tls1_3"] {
            let file = "\(mesh.folder)/session-\(UUID())"
            let first = try openssl(version, "-sess_out", file)
            try await eventually("\(version): a ticket") {
                first.output.contains("TLS session ticket:") && FileManager.default.fileExists(atPath: file)
            }
            first.closeInput()
            _ = try await first.end()
            #expect(try await handshake(version, "-sess_in", file).output.contains("Reused, "), "\(version)")
        }
        let program = try openssl("-tls1_2")
        try await eventually("the handshake is done") { program.output.contains("Verify return code: 0") }
        try program.write("R\n")
        let renegotiated = try await program.end()
        program.closeInput()
        #expect(renegotiated.errors.contains("no renegotiation"), "\(renegotiated.errors)")
    }

    // MARK: Bad input

    static let abuses: [(name: String, drop: String)] = [
        ("foreign_protocol", "tls_fault"), ("plain_http", "plaintext_refused"), ("plain_http2", "plaintext_refused"),
        ("garbage_for_a_hello", "tls_fault"), ("endless_hello", "tls_fault"), ("garbage_after_the_handshake", "tls_fault"),
        ("handshake_held_open", "handshake_timeout"), ("handshake_without_a_request", "handshake_timeout"),
    ]

    @Test("what can be done to a TLS port is answered and counted", arguments: abuses) func abuse(_ name: String, _ drop: String)
        async throws
    {
        let before = try await drops(drop)
        var options = ClientOptions()
        options.tls.trustFile = ca
        let bystander = try await HeliographClient.connect(
            url: node.clientURL, token: mesh.token(MeshUnderTest.unique("bystander")), options: options)
        let session = bystander.welcome.session
        try await mesh.expectPasses("tls_abuse.py", name)
        try await eventually("\(drop) is counted") { try await drops(drop) == before + 1 }
        #expect(try await bystander.ping() > .zero)
        #expect(bystander.welcome.session == session, "the same session")
        await bystander.close()
    }
}
