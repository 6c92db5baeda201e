import Foundation
import MeshConfiguration
import MeshCore
import NIOCore
import TLS
import Testing

@testable import LocalMesh

@Suite("Certificates for development")
struct CertificateTests {
    private let folder: Folder
    private let euWest = NodeID(region: RegionID("eu-west"), name: "eu-west-0")

    init() throws { folder = try Folder() }

    private var certificates: CertificateFolder { CertificateFolder(folder.path + "/certs") }

    private func wish(_ change: (inout CertificateFolder.Wish) -> Void = { _ in }) -> CertificateFolder.Wish {
        var wish = CertificateFolder.Wish()
        change(&wish)
        return wish
    }

    private func names(_ name: String) throws -> TLSPeerNames? {
        try TLSContext.server(TLSServerSettings(certificates: [certificates.files(name)])).names.first
    }

    @Test("an authority is made once and signs what comes later")
    func authority() throws {
        let first = try certificates.write(wish { $0.nodes = [euWest] }, replacing: false)
        #expect(first.map(\.path) == ["ca.pem", "ca.key", "eu-west-0.pem", "eu-west-0.key"].map { "\(folder.path)/certs/\($0)" })
        let ca = folder.read("certs/ca.pem")
        let names = try names("eu-west-0")
        #expect(names?.uris == ["spiffe://heliograph-local/region/eu-west/node/eu-west-0"])
        #expect(names?.dns == ["localhost"])
        let second = try certificates.write(wish { $0.hosts = ["relay.example", "10.0.0.7"] }, replacing: false)
        #expect(second.map(\.path) == ["server.pem", "server.key"].map { "\(folder.path)/certs/\($0)" })
        #expect(try self.names("server")?.dns == ["relay.example"])
        #expect(folder.read("certs/ca.pem") == ca)
    }

    @Test("what is there is replaced only when that is asked for")
    func replacing() throws {
        _ = try certificates.write(wish(), replacing: false)
        let before = folder.read("certs/server.key")
        #expect(throws: CertificateFolderError.exists("\(folder.path)/certs/server.pem")) {
            try certificates.write(wish(), replacing: false)
        }
        #expect(folder.read("certs/server.key") == before)
        _ = try certificates.write(wish(), replacing: true)
        #expect(folder.read("certs/server.key") != before)
    }

    @Test("wishes that cannot be met")
    func refused() throws {
        func refusal(_ change: (inout CertificateFolder.Wish) -> Void) -> CertificateFolderError? {
            do {
                _ = try certificates.write(wish(change), replacing: false)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal { $0.days = 0 } == .usage("certificates are valid for 1 to 3650 days"))
        #expect(refusal { $0.hosts = [] } == .usage("at least one host is needed"))
        #expect(refusal { $0.nodes = [euWest, NodeID(region: RegionID("x"), name: "eu-west-0")] } != nil)
        #expect(refusal { $0.nodes = [NodeID(region: RegionID("x"), name: "ca")] } != nil)
        #expect(refusal { $0.hosts = ["a,DNS:b"] } != nil)
        _ = try certificates.write(wish(), replacing: true)
        try FileManager.default.removeItem(atPath: certificates.authority.key)
        #expect(
            throws: CertificateFolderError.failed("\(certificates.authority.key) is missing: an authority is a certificate and its key")
        ) {
            try certificates.write(wish(), replacing: true)
        }
        #expect(throws: CertificateFolderError.self) { try CertificateFolder("/proc/nowhere").write(wish(), replacing: false) }
    }

    @Test("an encrypted mesh's files are right configurations, and its certificates those of its nodes")
    func encryptedMesh() throws {
        let options = folder.options {
            $0.tls = true
            $0.nodes = 2
        }
        let plan = MeshPlan(options) { 7100 + $0 }
        let files = MeshFiles(directory: folder.path)
        try files.write(plan, options)
        let ca = folder.read("tls/ca.pem")
        try files.write(plan, options)
        #expect(folder.read("tls/ca.pem") == ca, "the authority stays")
        for node in plan.regions.flatMap(\.nodes) {
            let path = "\(folder.path)/\(node.node.region).yaml"
            let configuration = try ConfigurationLoader.load(path: path, node: node.node.name).get()
            let own = TLSCertificateFiles(
                chain: "\(folder.path)/tls/\(node.node.name).pem", key: "\(folder.path)/tls/\(node.node.name).key")
            #expect(configuration.tls.client == ClientTLS(certificates: [own]))
            #expect(configuration.tls.operations == OperationsTLS(certificates: [own]))
            #expect(configuration.tls.mesh == MeshTLS(certificate: own, trustFile: folder.path + "/tls/ca.pem"))
            #expect(configuration.tls.store == TLSClientSettings(trustFile: folder.path + "/tls/ca.pem", certificate: own))
            #expect(configuration.addresses.clientURL == "https://127.0.0.1:\(node.clientPort)")
        }
    }

    @Test("the chats of an encrypted mesh are told whom to trust")
    func chats() {
        let node = LocalMesh.Node(node: euWest, clientURL: "https://127.0.0.1:1", operationsURL: "", mesh: "", pid: 1, isRunning: true)
        let regions = [LocalMesh.Region(region: euWest.region, nodes: [node], redis: nil)]
        let commands = MeshReport.chatCommands(regions, invokedAs: "heliograph", secretFile: "s", trustFile: "my ca.pem")
        #expect(commands.allSatisfy { $0.hasSuffix("--secret-file s --ca 'my ca.pem'") })
    }

    @Test("a speaker asks when the handshake is done, whatever the pieces")
    func speaker() throws {
        _ = try certificates.write(wish(), replacing: false)
        let server = TLSSession(try .server(TLSServerSettings(certificates: [certificates.files("server")])))
        let client = try TLSContext.client(TLSClientSettings(trustFile: certificates.authority.chain))
        var speaker = LoopbackSpeaker(TLSSession(client, serverName: "127.0.0.1"), request: "PING\r\n")
        var said = speaker.opening() ?? []
        var heard = ByteBuffer()
        #expect(!said.isEmpty)
        for _ in 0..<4 {
            var answer = ByteBuffer()
            try server.receive(ByteBuffer(bytes: said), plaintext: &heard, output: &answer)
            if heard.readableBytes > 0 { try Array("+PONG\r\n".utf8).withUnsafeBytes { try server.encrypt($0, output: &answer) } }
            said = []
            for byte in answer.readableBytesView { said += speaker.heard([byte]) ?? [] }
        }
        #expect(String(buffer: heard).hasPrefix("PING\r\n"))
        #expect(String(decoding: speaker.received, as: UTF8.self).hasPrefix("+PONG\r\n"))
        let afterNonsense = speaker.heard(Array("nonsense".utf8))
        #expect(afterNonsense == nil)
    }
}
