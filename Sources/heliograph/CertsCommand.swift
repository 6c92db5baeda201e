import ArgumentParser
import LocalMesh
import MeshCore

/// `heliograph certs`: certificates for development.
struct CertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Make an authority and certificates for development.",
        discussion: """
            Makes ca.pem in DIR, or uses the one that is there, and with it a certificate for each node: good for its client and operations \
            listeners under the hosts given, and for its mesh links. In a region's file write \
            `chain: DIR/{node}.pem`, `key: DIR/{node}.key` and, for the mesh, `trust: DIR/ca.pem`. Without --node one \
            certificate, server.pem, is made for the hosts.
            """)

    @Option(help: ArgumentHelp("The folder to write to; made if it is not there.", valueName: "dir")) var out: String
    @Option(help: "The `name` in mesh.yaml.") var mesh = CertificateFolder.Wish().mesh
    @Option(help: ArgumentHelp("A node, such as eu-west/eu-west-0. May be repeated.", valueName: "region/node")) var node: [String] = []
    @Option(
        help: ArgumentHelp(
            "A name or IP address of the hosts; localhost, 127.0.0.1 and ::1 without. May be repeated.", valueName: "host")) var host:
        [String] = []
    @Option(help: "How long the certificates are valid, from now.") var days = CertificateFolder.Wish().days
    @Flag(help: "Replace certificates that are there; never the authority.") var force = false

    func validate() throws { _ = try wish() }

    private func wish() throws -> CertificateFolder.Wish {
        var wish = CertificateFolder.Wish()
        wish.mesh = mesh
        wish.days = days
        wish.nodes = try node.map { text in
            guard let node = NodeID(text), text.utf8.allSatisfy(Self.isPartOfName) else {
                throw ValidationError("--node: `\(text)` is not a region and a node, such as eu-west/eu-west-0")
            }
            return node
        }
        if !host.isEmpty { wish.hosts = host }
        return wish
    }

    private static func isPartOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/")].contains(byte)
        }
    }

    func run() async throws {
        do throws(CertificateFolderError) {
            for file in try CertificateFolder(out).write(checked(), replacing: force) { print("\(file.path): \(file.purpose)") }
        } catch {
            if case .usage(let text) = error { throw ValidationError(text) }
            throw CommandFailure.report(error)
        }
    }

    private func checked() throws(CertificateFolderError) -> CertificateFolder.Wish {
        do { return try wish() } catch { throw .usage("\(error)") }
    }
}
