import MeshConfiguration
import MeshCore
import TLS
import Testing

@Suite("What files say about certificates")
struct TLSSectionTests {
    private let files: Files
    private let authority: TLSAuthority

    private static let section = """

        tls:
          client:
            certificates:
              - chain: tls-{node}.pem
                key: tls-{node}.key
            plaintext: allow
          operations:
            certificates: [{chain: "tls-{node}.pem", key: "tls-{node}.key"}]
          mesh:
            chain: tls-{node}.pem
            key: tls-{node}.key
            trust: ca.pem
        """
    private static let store = ["redis: rediss://127.0.0.1:7400", "trust: ca.pem", "chain: tls-{node}.pem", "key: tls-{node}.key"]
    private static let region = Files.region.replacing("redis: 127.0.0.1:7400", with: store.joined(separator: "\n  ")) + section

    init() throws {
        files = try Files(region: Self.region)
        authority = try TLSAuthority.make(name: "test", validity: .days(1))
        try files.write(authority.certificate, "ca.pem")
        try issue("tls-eu-west-0", for: NodeID(region: RegionID("eu-west"), name: "eu-west-0"))
    }

    private func issue(_ name: String, for node: NodeID) throws {
        let uri = node.certificateName(mesh: "test-mesh")
        let request = TLSCertificateRequest(name: name, dns: ["localhost"], uris: [uri], validity: .days(1))
        try authority.issue(request).write(to: TLSCertificateFiles(chain: path(name + ".pem"), key: path(name + ".key")))
    }

    private func path(_ name: String) -> String { "\(files.folder)/\(name)" }

    /// The errors after a change of the region's file.
    private func errors(_ change: (String) -> String) throws -> [String] {
        try files.write(change(Self.region), "eu-west.yaml")
        return files.errors()
    }

    private func errors(_ text: String, _ broken: String) throws -> [String] {
        try errors { whole in
            #expect(whole.contains(text))
            return whole.replacing(text, with: broken)
        }
    }

    @Test("a whole section is read, with the node's name in its paths")
    func whole() throws {
        let tls = try files.load().get().tls
        let identity = TLSCertificateFiles(chain: path("tls-eu-west-0.pem"), key: path("tls-eu-west-0.key"))
        #expect(tls.client == ClientTLS(certificates: [identity], allowsPlaintext: true))
        #expect(tls.operations == OperationsTLS(certificates: [identity]))
        #expect(tls.mesh == MeshTLS(certificate: identity, trustFile: path("ca.pem")))
        #expect(tls.store == TLSClientSettings(trustFile: path("ca.pem"), certificate: identity))
        #expect(try files.load().get().store == .redis(HostPort(host: "127.0.0.1", port: 7400)))
        #expect(try Files().load().get().tls == TLSConfiguration())
    }

    @Test("files that cannot be used are told at the field that names them")
    func unusable() throws {
        #expect(
            try errors("trust: ca.pem\n  chain", "trust: none.pem\n  chain").contains {
                $0.hasPrefix("eu-west.yaml:7: store.trust: none.pem: ")
            })
        let missing = try errors("key\n    trust: ca.pem", "key\n    trust: none.pem")
        #expect(missing == ["eu-west.yaml:31: tls.mesh.trust: none.pem: No such file or directory"])
        try issue("tls-eu-west-0", for: NodeID(region: RegionID("eu-west"), name: "eu-west-1"))
        let uri = "spiffe://test-mesh/region/eu-west/node/eu-west-"
        #expect(try errors { $0 } == ["eu-west.yaml:29: tls.mesh.chain: the certificate is for \(uri)1; this node needs \(uri)0"])
        try files.write("nonsense", "tls-eu-west-0.key")
        let unreadable = try errors { $0 }
        #expect(unreadable.count == 4)
        #expect(unreadable.allSatisfy { $0.hasSuffix(".key: tls-eu-west-0.key: holds no private key") })
    }

    @Test("mistakes in the section")
    func mistakes() throws {
        #expect(
            try errors("plaintext: allow", "plaintext: maybe") == [
                "eu-west.yaml:25: tls.client.plaintext: `maybe` is none of refuse, allow"
            ])
        let refused = try errors("plaintext: allow", "plaintext: refuse")
        #expect(refused.count == 1)
        #expect(
            refused.first?.hasPrefix("eu-west.yaml:21: tls.client: clients are told http://127.0.0.1:7100, which would be refused") == true)
        #expect(
            try errors("  operations:", "  operation:").contains(
                "eu-west.yaml:26: tls.operation: unknown field; did you mean `operations`?"))
        #expect(try errors("key\n    trust: ca.pem", "key\n    trusts: ca.pem").contains { $0.contains("tls.mesh.trust: is missing") })
        #expect(try errors("rediss://127.0.0.1:7400", "127.0.0.1:7400").count == 3)
        #expect(
            try errors("rediss://127.0.0.1:7400", "rediss://nowhere").first?.hasSuffix("is not host:port with a port from 1 to 65535")
                == true)
        let bare = try errors("[{chain: \"tls-{node}.pem\", key: \"tls-{node}.key\"}]", "[]")
        #expect(bare == ["eu-west.yaml:27: tls.operations.certificates: at least one certificate is needed"])
    }

    @Test("links in the clear beyond loopback are exposed")
    func exposed() throws {
        #expect(try Files().load().get().exposesMesh == false)
        let wide = Files.mesh.replacing("mesh: 127.0.0.1:7301", with: "mesh: 10.0.0.1:7301")
        #expect(try Files(mesh: wide).load().get().exposesMesh)
        try files.write(wide, "mesh.yaml")
        #expect(try files.load().get().exposesMesh == false)
    }

    @Test("a node that is not known leaves the files unread and the fields known")
    func unknownNode() throws {
        #expect(try errors("node: eu-west-0", "node: eu-west-9").count == 1)
    }
}
