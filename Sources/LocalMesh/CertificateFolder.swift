import Foundation
import MeshCore
import TLS

/// Certificates for development: an authority and what it has signed, in one folder.
///
/// `ca.pem` is what others trust, `ca.key` signs; `<node>.pem` and `<node>.key` are for one node, `server.pem` and `server.key` for hosts without one.
public struct CertificateFolder: Sendable {
    public static let daysMax = 3_650

    /// What to make.
    public struct Wish: Hashable, Sendable {
        public var mesh = "heliograph-local"
        /// Each gets a certificate that is good for its listeners and for its links.
        public var nodes: [NodeID] = []
        /// Names and addresses under which clients reach them.
        public var hosts = ["localhost", "127.0.0.1", "::1"]
        public var days = 365

        public init() {}

        /// The first thing that cannot be met.
        func check() throws(CertificateFolderError) {
            guard (1...CertificateFolder.daysMax).contains(days) else {
                throw .usage("certificates are valid for 1 to \(CertificateFolder.daysMax) days")
            }
            guard !hosts.isEmpty else { throw .usage("at least one host is needed") }
            let names = nodes.map(\.name)
            if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
                throw .usage("two nodes are called \(name): give them folders of their own")
            }
            if let name = names.first(where: { CertificateFolder.reserved.contains($0) }) {
                throw .usage("a node cannot be called \(name) here: its files would be those of something else")
            }
        }
    }

    /// A file that was written, and what it is.
    public struct Written: Hashable, Sendable {
        public var path: String
        public var purpose: String
    }

    private static let reserved: Set<String> = ["ca", "server"]

    public let directory: String

    public init(_ directory: String) { self.directory = URL(fileURLWithPath: directory).standardizedFileURL.path }

    public var authority: TLSCertificateFiles { files("ca") }
    /// The certificate and key of a node or of another owner.
    public func files(_ name: String) -> TLSCertificateFiles {
        TLSCertificateFiles(chain: "\(directory)/\(name).pem", key: "\(directory)/\(name).key")
    }

    /// Makes the certificates, and the authority unless there is one: what it signed before stays good.
    ///
    /// - Parameter replacing: whether certificates that are there may be replaced. Never the authority.
    /// - Returns: what was written, in that order.
    public func write(_ wish: Wish, replacing: Bool) throws(CertificateFolderError) -> [Written] {
        try wish.check()
        try makeFolder()
        let owners = wish.nodes.isEmpty ? ["server"] : wish.nodes.map(\.name)
        if !replacing { try refuseExisting(owners) }
        var written: [Written] = []
        let authority = try openAuthority(&written)
        for node in wish.nodes {
            try issue(node.name, uris: [node.certificateName(mesh: wish.mesh)], wish, by: authority)
            written += described(node.name, "node \(node)")
        }
        if wish.nodes.isEmpty {
            try issue("server", uris: [], wish, by: authority)
            written += described("server", wish.hosts.joined(separator: ", "))
        }
        return written
    }

    private func described(_ name: String, _ owner: String) -> [Written] {
        let files = files(name)
        return [Written(path: files.chain, purpose: "certificate of \(owner)"), Written(path: files.key, purpose: "its key")]
    }

    private func makeFolder() throws(CertificateFolderError) {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw .failed("cannot make the folder \(directory): \(error.localizedDescription)")
        }
    }

    private func refuseExisting(_ owners: [String]) throws(CertificateFolderError) {
        let all = owners.flatMap { [files($0).chain, files($0).key] }
        guard let there = all.first(where: FileManager.default.fileExists) else { return }
        throw .exists(there)
    }

    private func openAuthority(_ written: inout [Written]) throws(CertificateFolderError) -> TLSAuthority {
        let files = authority
        let exist = [files.chain, files.key].map(FileManager.default.fileExists)
        guard exist[0] == exist[1] else {
            throw .failed("\(exist[0] ? files.key : files.chain) is missing: an authority is a certificate and its key")
        }
        do throws(TLSConfigurationFault) {
            if exist[0] { return try TLSAuthority.load(files) }
            let made = try TLSAuthority.make(name: "Heliograph development authority", validity: .days(Self.daysMax))
            try made.write(to: files)
            written.append(Written(path: files.chain, purpose: "the authority: what clients and nodes trust"))
            written.append(Written(path: files.key, purpose: "its key: whoever has it can be any node"))
            return made
        } catch {
            throw .failed("\(error)")
        }
    }

    private func issue(_ name: String, uris: [String], _ wish: Wish, by authority: TLSAuthority) throws(CertificateFolderError) {
        let addresses = wish.hosts.filter(Self.isAddress)
        let request = TLSCertificateRequest(
            name: name, dns: wish.hosts.filter { !Self.isAddress($0) }, addresses: addresses, uris: uris, validity: .days(wish.days))
        do throws(TLSConfigurationFault) {
            try authority.issue(request).write(to: files(name))
        } catch {
            throw .failed("\(error)")
        }
    }

    private static func isAddress(_ host: String) -> Bool {
        var (v4, v6) = (in_addr(), in6_addr())
        return inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1
    }
}

public enum CertificateFolderError: Error, Hashable, Sendable, CustomStringConvertible {
    case usage(String)
    case exists(String)
    case failed(String)

    public var description: String {
        switch self {
        case .usage(let text), .failed(let text): text
        case .exists(let path): "\(path) is there already: --force replaces it, and nodes that use it read the new one"
        }
    }
}
