import MeshCore
import TLS

/// Reads what a region's file says about certificates, and whether the files that it names can be used.
struct TLSReader {
    let findings: Findings
    /// The file that is read: paths are relative to its folder.
    let file: String
    let mesh: MeshDescription?
    /// Nil when it is not known which node starts: then fields are read and files are not.
    let seed: SeedNode?

    /// In paths it stands for the name of the node: the file is the same for all nodes of a region.
    static let nodePlaceholder = "{node}"

    func read(_ top: inout Section) -> TLSConfiguration {
        guard var section = top.section("tls") else { return TLSConfiguration() }
        defer { section.finish() }
        return TLSConfiguration(client: readClient(&section), operations: readOperations(&section), mesh: readMesh(&section))
    }

    // MARK: Listeners

    private enum Plaintext: String, CaseIterable { case refuse, allow }

    private func readClient(_ tls: inout Section) -> ClientTLS? {
        guard var section = tls.section("client") else { return nil }
        defer { section.finish() }
        // What stands there and cannot be read is reported already; nothing is to follow from it.
        let plaintext = section.optional("plaintext", ScalarParsers.choice(Plaintext.self))?.value
        let allowsPlaintext = plaintext.map { $0 == .allow } ?? section.has("plaintext")
        guard let certificates = readCertificates(&section) else { return nil }
        if !allowsPlaintext, let url = seed?.addresses.clientURL, url.hasPrefix("http://") {
            findings.report(
                "clients are told \(url), which would be refused: give the node a clientURL with https://, or set plaintext: allow",
                at: section.place)
        }
        return ClientTLS(certificates: certificates, allowsPlaintext: allowsPlaintext)
    }

    private func readOperations(_ tls: inout Section) -> OperationsTLS? {
        guard var section = tls.section("operations") else { return nil }
        defer { section.finish() }
        return readCertificates(&section).map(OperationsTLS.init)
    }

    /// Nil when none can be used; why has been reported.
    private func readCertificates(_ section: inout Section) -> [TLSCertificateFiles]? {
        let entries = section.sections("certificates")
        if entries.isEmpty { findings.report("at least one certificate is needed", at: section.place(of: "certificates")) }
        let certificates = entries.compactMap { entry -> TLSCertificateFiles? in
            var entry = entry
            defer { entry.finish() }
            guard let identity = readIdentity(&entry) else { return nil }
            let isUsable = check(in: entry) { () throws(TLSConfigurationFault) in try .server(TLSServerSettings(certificates: [identity])) }
            return isUsable == nil ? nil : identity
        }
        return certificates.isEmpty ? nil : certificates
    }

    private func readIdentity(_ section: inout Section) -> TLSCertificateFiles? {
        let chain = section.required("chain", ScalarParsers.text)
        let key = section.required("key", ScalarParsers.text)
        guard let chain, let key else { return nil }
        return TLSCertificateFiles(chain: resolve(chain.value), key: resolve(key.value))
    }

    // MARK: Mesh

    private func readMesh(_ tls: inout Section) -> MeshTLS? {
        guard var section = tls.section("mesh") else { return nil }
        defer { section.finish() }
        let identity = readIdentity(&section)
        let trust = section.required("trust", ScalarParsers.text)
        guard let identity, let trust else { return nil }
        let mesh = MeshTLS(certificate: identity, trustFile: resolve(trust.value))
        let context = check(in: section) { () throws(TLSConfigurationFault) in try .server(mesh.serverSettings) }
        guard let context else { return nil }
        checkName(context, at: section.place(of: "chain"))
        return mesh
    }

    private func checkName(_ context: TLSContext, at place: Place) {
        guard let seed, let mesh else { return }
        let name = seed.node.certificateName(mesh: mesh.name)
        let uris = context.names.flatMap(\.uris)
        guard !uris.contains(name) else { return }
        let found = uris.isEmpty ? "no URI" : uris.joined(separator: ", ")
        findings.report("the certificate is for \(found); this node needs \(name)", at: place)
    }

    // MARK: Store

    /// The address `rediss://host:port` and what goes with it.
    func readStore(_ section: inout Section, isEncrypted: Bool) -> TLSClientSettings? {
        let trust = section.optional("trust", ScalarParsers.text)
        let hasIdentity = section.has("chain") || section.has("key")
        let identity = hasIdentity ? readIdentity(&section) : nil
        guard isEncrypted else {
            for name in ["trust", "chain", "key"] where section.has(name) {
                findings.report("has no meaning for a store in the clear: write rediss://host:port", at: section.place(of: name))
            }
            return nil
        }
        guard identity != nil || !hasIdentity else { return nil }
        let settings = TLSClientSettings(trustFile: trust.map { resolve($0.value) }, certificate: identity)
        _ = check(in: section) { () throws(TLSConfigurationFault) in try .client(settings) }
        return settings
    }

    // MARK: Files

    private func resolve(_ path: String) -> String {
        FilePath.resolve(path.replacing(Self.nodePlaceholder, with: seed?.node.name ?? Self.nodePlaceholder), namedIn: file)
    }

    /// Nil, and reported at the field that names the file, when the files cannot be used.
    private func check(in section: Section, _ make: () throws(TLSConfigurationFault) -> TLSContext) -> TLSContext? {
        guard seed != nil else { return nil }
        do throws(TLSConfigurationFault) {
            return try make()
        } catch {
            findings.report("\(error)", at: place(of: error.file, in: section))
            return nil
        }
    }

    private func place(of file: String?, in section: Section) -> Place {
        let field = ["chain", "key", "trust"].first { name in
            var section = section
            guard section.has(name), let value = section.optional(name, ScalarParsers.text) else { return false }
            return resolve(value.value) == file
        }
        return field.map { section.place(of: $0) } ?? section.place
    }
}
