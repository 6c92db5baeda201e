import Foundation
import Logging
import MeshCore
import TLS

/// Makes a `NodeConfiguration` from `regions/<region>.yaml` and the `mesh.yaml` that it names.
///
/// All errors of both files are collected: whoever repairs a file should not have to start a node once per mistake.
public enum ConfigurationLoader {
    /// - Parameters:
    ///   - path: the region's file. Paths in it are relative to its own folder.
    ///   - node: the node to start; nil takes the file's `node`, or the region's only one.
    public static func load(path: String, node: String?) -> Result<NodeConfiguration, ConfigurationErrors> {
        let findings = Findings()
        let configuration = RegionFileReader(findings: findings).read(path, node: node)
        guard findings.errors.isEmpty, let configuration else { return .failure(ConfigurationErrors(findings.errors)) }
        return .success(configuration)
    }
}

/// Reads `regions/<region>.yaml`: what the nodes of one region share.
struct RegionFileReader {
    let findings: Findings

    func read(_ path: String, node: String?) -> NodeConfiguration? {
        guard var top = YamlFile.read(path, namedAt: nil, findings) else { return nil }
        defer { top.finish() }
        let region = top.required("region", ScalarParsers.region)
        let meshPath = top.required("mesh", ScalarParsers.text)
        let mesh = meshPath.flatMap { readMesh($0, namedIn: path) }
        let seed = readSeed(&top, in: mesh, region, asked: node)
        let certificates = TLSReader(findings: findings, file: path, mesh: mesh, seed: seed)
        let store = readStore(&top, certificates)
        var tls = certificates.read(&top)
        tls.store = store?.tls
        if case .embedded = store?.value, let region, let mesh { checkEmbedded(top, region.value, mesh) }
        let cells = top.optional("cells", ScalarParsers.integer(1...256))?.value ?? min(ProcessInfo.processInfo.activeProcessorCount, 256)
        let compression = top.optional("compression", ScalarParsers.boolean)?.value ?? true
        let logging = readLogging(&top)
        let limits = readLimits(&top)
        let timings = readTimings(&top)
        let push = PushReader(findings: findings, file: path).read(&top)
        guard let mesh, let seed, let store else { return nil }
        return NodeConfiguration(
            mesh: mesh, node: seed.node, addresses: seed.addresses, store: store.value, tls: tls, compression: compression, cells: cells,
            logging: logging, limits: limits, timings: timings, push: push)
    }

    /// Nil when something is wrong with it: what follows from the same mistake need not be reported too.
    private func readMesh(_ path: Located<String>, namedIn file: String) -> MeshDescription? {
        let errorsBefore = findings.errors.count
        let mesh = MeshFileReader(findings: findings).read(FilePath.resolve(path.value, namedIn: file), namedAt: path.place)
        return findings.errors.count == errorsBefore ? mesh : nil
    }

    // MARK: Which node

    private func readSeed(
        _ top: inout Section, in mesh: MeshDescription?, _ region: Located<RegionID>?, asked: String?
    ) -> SeedNode? {
        let defaultNode = top.optional("node", ScalarParsers.name)
        let isRefused = top.has("node") && defaultNode == nil
        guard let mesh, let region, asked != nil || !isRefused else { return nil }
        return findSeed(in: mesh, region, asked: asked, defaultNode)
    }

    private func findSeed(
        in mesh: MeshDescription, _ region: Located<RegionID>, asked: String?, _ defaultNode: Located<String>?
    ) -> SeedNode? {
        guard let description = mesh.regions.first(where: { $0.region == region.value }) else {
            let known = mesh.regions.map(\.region.name).joined(separator: ", ")
            findings.report("\(region.value) is not a region of the mesh, which has \(known)", at: region.place)
            return nil
        }
        var place = region.place
        place.field = "node"
        let name = asked ?? defaultNode?.value ?? (description.nodes.count == 1 ? description.nodes.first?.node.name : nil)
        guard let name else {
            findings.report("the region has several nodes: name one here or with --node", at: place)
            return nil
        }
        if let seed = description.nodes.first(where: { $0.node.name == name }) { return seed }
        let known = description.nodes.map(\.node.name).joined(separator: ", ")
        findings.report(
            "\(name) is not among the nodes of \(region.value): \(known)", at: asked == nil ? defaultNode?.place ?? place : place)
        return nil
    }

    // MARK: Sections

    private enum StoreKind: String, CaseIterable { case redis, embedded }

    private func readStore(_ top: inout Section, _ certificates: TLSReader) -> (value: StoreConfiguration, tls: TLSClientSettings?)? {
        guard var section = top.requiredSection("store") else { return nil }
        defer { section.finish() }
        let kind = section.required("kind", ScalarParsers.choice(StoreKind.self))
        let address =
            kind?.value == .redis
            ? section.required("redis", ScalarParsers.storeAddress) : section.optional("redis", ScalarParsers.storeAddress)
        let tls = certificates.readStore(&section, isEncrypted: address?.value.isEncrypted ?? (kind?.value != .embedded))
        switch kind?.value {
        case .redis: return address.map { (.redis($0.value.address), tls) }
        case .embedded:
            if let address { findings.report("has no meaning for the embedded store", at: address.place) }
            return (.embedded, nil)
        case nil: return nil
        }
    }

    /// Two processes that each keep their own log of a room would not be one conversation.
    private func checkEmbedded(_ top: Section, _ region: RegionID, _ mesh: MeshDescription) {
        let count = mesh.regions.first { $0.region == region }?.nodes.count ?? 0
        guard count > 1 else { return }
        findings.report("the embedded store is the memory of one process, and \(region) has \(count) nodes", at: top.place(of: "store"))
    }

    private func readLogging(_ top: inout Section) -> LoggingConfiguration {
        var logging = LoggingConfiguration()
        guard var section = top.section("logging") else { return logging }
        if let level = section.optional("level", ScalarParsers.choice(Logger.Level.self)) { logging.level = level.value.rawValue }
        if let format = section.optional("format", ScalarParsers.choice(LoggingConfiguration.Format.self)) { logging.format = format.value }
        section.finish()
        return logging
    }

    private func readLimits(_ top: inout Section) -> RelayLimits {
        guard var section = top.section("limits") else { return RelayLimits() }
        let limits = RelayOptions.readLimits(&section)
        RelayRelations.check(limits, RelayRelations.limits, in: section)
        section.finish()
        return limits
    }

    private func readTimings(_ top: inout Section) -> RelayTimings {
        guard var section = top.section("timings") else { return RelayTimings() }
        let timings = RelayOptions.readTimings(&section)
        RelayRelations.check(timings, RelayRelations.timings, in: section)
        section.finish()
        return timings
    }
}
