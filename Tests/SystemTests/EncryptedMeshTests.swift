import Foundation
import HeliographClient
import LocalMesh
import MeshConfiguration
import MeshCore
import NIOCore
import TLS
import Testing

/// A mesh whose listeners, links and stores are encrypted, against clients that share no code with it.
@Suite("Encrypted mesh", .serialized, .mesh(tls: true), .timeLimit(.minutes(2))) struct EncryptedMeshTests {
    let mesh: MeshUnderTest
    let ca: String

    init() throws {
        mesh = try .current
        ca = try #require(mesh.local.trustFile)
    }

    private func get(_ region: String, _ path: String) async throws -> String {
        let answer = try await HTTPGet.fetch(
            mesh.node(region).operationsURL + path, tls: ClientTLSOptions(trustFile: ca), timeout: .seconds(5))
        #expect(answer.status == 200)
        return String(buffer: answer.body)
    }

    /// The value of a sample, 0 for one that is not there.
    private func metric(_ region: String, _ sample: String) async throws -> Double {
        let line = try await get(region, "/metrics").split(separator: "\n").first { $0.hasPrefix(sample + " ") }
        return line.flatMap { Double($0.dropFirst(sample.count + 1)) } ?? 0
    }

    private func port(of url: String) throws -> Int { try #require(url.split(separator: ":").last.flatMap { Int($0) }) }

    /// `openssl s_client` until the handshake is over.
    private func openssl(_ port: Int, _ arguments: String...) async throws -> Program.Result {
        try await Program.run("openssl", ["s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", ca] + arguments)
    }

    private func tlsFile(_ name: String) -> String { "\(mesh.folder)/tls/\(name)" }

    @Test("heliograph status reads it with --ca, and not without") func status() async throws {
        let url = try await mesh.node("us-east").operationsURL
        let trusted = try await Program.run(Program.heliograph, ["status", "--url", url, "--ca", ca])
        #expect(trusted.code == 0 && MeshUnderTest.regions.allSatisfy(trusted.output.contains), "\(trusted.errors)")
        let distrusted = try await Program.run(Program.heliograph, ["status", "--url", url])
        #expect(distrusted.code == 1 && distrusted.errors.contains("unknown_ca"))
    }

    @Test("every node is linked to every other") func links() async throws {
        for region in MeshUnderTest.regions {
            let ready: Readyz = try JSONDecoder().decode(Readyz.self, from: Data(try await get(region, "/readyz").utf8))
            #expect(ready.checks.first { $0.name == "mesh" }?.detail.contains("2 of 2") == true)
        }
    }

    @Test("versions: 1.3 and 1.2, nothing older; a ticket resumes; no renegotiation") func versions() async throws {
        let port = try port(of: await mesh.node("eu-west").operationsURL)
        let newest = try await openssl(port, "-alpn", "h2,http/1.1", "-verify_return_error")
        #expect(newest.code == 0 && newest.output.contains("TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256"))
        #expect(newest.output.contains("ALPN protocol: http/1.1"))
        let older = try await openssl(port, "-tls1_2", "-verify_return_error")
        #expect(older.code == 0 && older.output.contains("TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"))
        for old in ["-tls1_1", "-tls1"] {
            let refused = try await openssl(port, old, "-cipher", "DEFAULT@SECLEVEL=0")
            #expect(refused.code != 0 && refused.errors.contains("alert protocol version"), "\(old)")
        }
        let session = "\(mesh.folder)/session-\(UUID())"
        #expect(try await openssl(port, "-tls1_2", "-sess_out", session).output.contains("New, TLSv1.2"))
        #expect(try await openssl(port, "-tls1_2", "-sess_in", session).output.contains("Reused, TLSv1.2"))
        let program = try RunningProgram("openssl", ["s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", ca, "-tls1_2"])
        try await eventually("the handshake is done") { program.output.contains("Verify return code: 0") }
        try program.write("R\n")
        let renegotiated = try await program.end()
        #expect(renegotiated.errors.contains("no renegotiation"), "\(renegotiated.errors)")
    }

    @Test("the store takes who shows a certificate, and the node is in it") func store() async throws {
        let port = try #require(await mesh.region("eu-west").redis?.port)
        let arguments = ["-p", "\(port)", "--tls", "--cacert", ca]
        let identity = ["--cert", tlsFile("operator.pem"), "--key", tlsFile("operator.key")]
        let known = try await Program.run("redis-cli", arguments + identity + ["EXISTS", "hg:lease:eu-west/eu-west-0"])
        #expect(known.output.trimmingCharacters(in: .whitespacesAndNewlines) == "1", "\(known.errors)")
        let unknown = try await Program.run("redis-cli", arguments + ["PING"])
        #expect(!unknown.output.contains("PONG"))
    }

    @Test("a mesh listener refuses strangers by reason, and its links stand") func strangers() async throws {
        let mesh = try await mesh.node("eu-west").mesh
        let port = try port(of: mesh)
        _ = try await openssl(port)
        let foreign = CertificateFolder("\(self.mesh.folder)/foreign")
        _ = try foreign.write(.init(), replacing: true)
        _ = try await openssl(port, "-cert", foreign.files("server").chain, "-key", foreign.files("server").key)
        let plain = try await Program.run(
            "bash", ["-c", "exec 3<>/dev/tcp/127.0.0.1/\(port); printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"])
        #expect(plain.output.isEmpty)
        for reason in ["no_client_certificate", "unknown_ca", "not_tls"] {
            try await eventually("\(reason) is counted") {
                try await metric("eu-west", "heliograph_link_ends_total{reason=\"tls_\(reason)\"}") == 1
            }
        }
        #expect(try await metric("eu-west", "heliograph_drops_total{reason=\"link_refused\"}") == 3)
        try await links()
    }

    @Test("new certificates are served without an end of a link, by themselves and on SIGHUP; bad ones change nothing") func reload()
        async throws
    {
        let node = try await mesh.node("ap-south")
        let port = try port(of: node.operationsURL)
        let certificates = CertificateFolder("\(mesh.folder)/tls")
        func certificate() async throws -> String {
            let shown = try await openssl(port, "-showcerts")
            let text = try #require(shown.output.components(separatedBy: "-----BEGIN CERTIFICATE-----").dropFirst().first)
            return try #require(text.components(separatedBy: "-----END").first)
        }
        let ends = try await get("ap-south", "/metrics").split(separator: "\n").filter { $0.hasPrefix("heliograph_link_ends_total") }
        let first = try await certificate()
        #expect(try await certificate() == first)
        var wish = CertificateFolder.Wish()
        wish.nodes = [node.node]
        _ = try certificates.write(wish, replacing: true)
        try await eventually("the new certificate is served") { try await certificate() != first }
        try await eventually("all sets are read") { try await metric("ap-south", "heliograph_tls_reloads_total{result=\"ok\"}") == 5 }

        let files = certificates.files(node.node.name)
        let key = try String(contentsOfFile: files.key, encoding: .utf8)
        let second = try await certificate()
        try "damaged".write(toFile: files.key, atomically: true, encoding: .utf8)
        kill(node.pid, SIGHUP)
        try await eventually("the failure is counted") {
            try await metric("ap-south", "heliograph_tls_reloads_total{result=\"failed\"}") >= 5
        }
        #expect(try await certificate() == second, "the older one stays")
        try key.write(toFile: files.key, atomically: true, encoding: .utf8)
        kill(node.pid, SIGHUP)
        try await eventually("they are good again") { try await metric("ap-south", "heliograph_tls_reloads_total{result=\"ok\"}") >= 10 }

        let expiry = try await metric("ap-south", "heliograph_tls_certificate_expiry_seconds{file=\"\(files.chain)\"}")
        #expect(expiry > Date().timeIntervalSince1970 + 300 * 86_400)
        let after = try await get("ap-south", "/metrics").split(separator: "\n").filter { $0.hasPrefix("heliograph_link_ends_total") }
        #expect(after == ends, "no link has ended")
        #expect(try await mesh.node("ap-south").pid == node.pid)
    }

    @Test("a configuration whose files are missing is refused with file and line") func badConfiguration() async throws {
        let good = try String(contentsOfFile: mesh.configuration(of: "eu-west"), encoding: .utf8)
        let broken = "\(mesh.folder)/broken.yaml"
        try good.replacing("trust: tls/ca.pem", with: "trust: tls/none.pem").write(toFile: broken, atomically: true, encoding: .utf8)
        for arguments in [["--check"], []] {
            let refused = try await Program.run(Program.heliograph, ["serve", "--config", broken] + arguments)
            #expect(refused.code == 78)
            #expect(refused.errors.contains("tls.mesh.trust: \(mesh.folder)/tls/none.pem: No such file or directory"), "\(refused.errors)")
            #expect(refused.errors.contains("store.trust: "))
        }
    }

    @Test("heliograph certs says what it wrote, and why it does not") func certs() async throws {
        let out = "\(mesh.folder)/made"
        let made = try await Program.run(
            Program.heliograph, ["certs", "--out", out, "--node", "eu/a", "--node", "eu/b", "--host", "x.test"])
        #expect(made.code == 0)
        let lines = made.output.split(separator: "\n")
        #expect(lines.count == 6)
        #expect(lines.allSatisfy { FileManager.default.fileExists(atPath: String($0.prefix { $0 != ":" })) })
        let again = try await Program.run(Program.heliograph, ["certs", "--out", out, "--node", "eu/a"])
        #expect(again.code == 1 && again.errors.contains("--force"))
        #expect(try await Program.run(Program.heliograph, ["certs", "--out", out, "--node", "eu/a", "--force"]).code == 0)
        #expect(try await Program.run(Program.heliograph, ["certs", "--out", out, "--node", "eu"]).code == 64)
        #expect(try await Program.run(Program.heliograph, ["certs", "--out", out, "--days", "0"]).code == 64)
        let shown = try await Program.run("openssl", ["verify", "-CAfile", out + "/ca.pem", out + "/b.pem"])
        #expect(shown.code == 0 && shown.output.contains("OK"))
    }
}
