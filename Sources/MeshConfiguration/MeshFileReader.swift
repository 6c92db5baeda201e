import MeshCore

/// Reads `mesh.yaml`: what all nodes of a mesh share.
struct MeshFileReader {
    let findings: Findings

    /// Nil when the file as a whole cannot be read. Otherwise what was understood, with all else reported.
    func read(_ path: String, namedAt place: Place) -> MeshDescription? {
        guard var top = YamlFile.read(path, namedAt: place, findings) else { return nil }
        defer { top.finish() }
        let name = top.required("name", ScalarParsers.name)
        let secretFile = readToken(&top, path)
        let regions = readRegions(&top)
        let placements = readPlacements(&top, regions)
        let retention = RetentionReader(findings: findings).read(&top, placements: Set(placements.keys))
        return MeshDescription(
            name: name?.value ?? "", regions: regions.map(\.value), placements: placements, tokenSecretFile: secretFile ?? "",
            retention: retention)
    }

    private func readToken(_ top: inout Section, _ path: String) -> String? {
        guard var token = top.requiredSection("token") else { return nil }
        defer { token.finish() }
        guard let written = token.required("secretFile", ScalarParsers.text) else { return nil }
        let file = FilePath.resolve(written.value, namedIn: path)
        do throws(TokenSecretFault) {
            _ = try TokenSecret(file: file)
        } catch {
            findings.report(error.description, at: written.place)
        }
        return file
    }

    // MARK: Regions

    private func readRegions(_ top: inout Section) -> [Located<RegionDescription>] {
        let sections = top.sections("regions")
        if sections.isEmpty { findings.report("at least one region is needed", at: top.place(of: "regions")) }
        let regions = sections.compactMap { readRegion($0) }
        reportDuplicates(regions.map { Located(value: $0.value.region.name, place: $0.place) }, as: "region")
        if !regions.isEmpty, regions.allSatisfy({ $0.value.weight == 0 }) {
            findings.report("at least one region needs a weight above 0: nothing would have a home", at: top.place(of: "regions"))
        }
        return regions
    }

    private func readRegion(_ section: Section) -> Located<RegionDescription>? {
        var section = section
        defer { section.finish() }
        let name = section.required("region", ScalarParsers.region)
        let weight = section.optional("weight", ScalarParsers.integer(0...10_000))
        let sections = section.sections("nodes")
        if sections.isEmpty { findings.report("at least one node is needed", at: section.place(of: "nodes")) }
        guard let name else { return nil }
        let nodes = sections.compactMap { readNode($0, of: name.value) }
        reportDuplicates(nodes.map { Located(value: $0.value.node.name, place: $0.place) }, as: "node")
        let region = RegionDescription(region: name.value, weight: UInt32(weight?.value ?? 100), nodes: nodes.map(\.value))
        return Located(value: region, place: name.place)
    }

    private func readNode(_ section: Section, of region: RegionID) -> Located<SeedNode>? {
        var section = section
        defer { section.finish() }
        let name = section.required("node", ScalarParsers.name)
        let client = section.required("client", ScalarParsers.hostPort)
        let operations = section.required("operations", ScalarParsers.hostPort)
        let mesh = section.required("mesh", ScalarParsers.hostPort)
        let clientURL = section.optional("clientURL", ScalarParsers.clientURL)
        guard let name else { return nil }
        listeners.note([client, operations, mesh].compactMap { $0 }, findings)
        guard let client, let operations, let mesh else { return nil }
        let addresses = NodeAddresses(
            client: client.value, operations: operations.value, mesh: mesh.value, clientURL: clientURL?.value)
        return Located(value: SeedNode(node: NodeID(region: region, name: name.value), addresses: addresses), place: name.place)
    }

    /// Every address that some node listens on, so that a copied line with its old port is found.
    private let listeners = Listeners()

    private final class Listeners {
        private var taken: [HostPort: Place] = [:]

        func note(_ addresses: [Located<HostPort>], _ findings: Findings) {
            for address in addresses {
                if let first = taken[address.value] {
                    findings.report("\(address.value) is already used by \(first.field) in line \(first.line)", at: address.place)
                } else {
                    taken[address.value] = address.place
                }
            }
        }
    }

    // MARK: Placements

    private func readPlacements(_ top: inout Section, _ regions: [Located<RegionDescription>]) -> [String: [RegionID]] {
        let weights = Dictionary(regions.map { ($0.value.region, $0.value.weight) }, uniquingKeysWith: { first, _ in first })
        var placements = ["default": regions.filter { $0.value.weight > 0 }.map(\.value.region)]
        guard var section = top.section("placements") else { return placements }
        for name in section.names {
            let place = section.place(of: name)
            do throws(InvalidValue) { _ = try ScalarParsers.name(name) } catch { findings.report(error.message, at: place) }
            guard let members = section.values(name, ScalarParsers.region) else { continue }
            check(members, of: place, weights)
            placements[name] = members.map(\.value)
        }
        return placements
    }

    private func check(_ members: [Located<RegionID>], of placement: Place, _ weights: [RegionID: UInt32]) {
        for member in members where weights[member.value] == nil {
            findings.report("names the unknown region \(member.value)", at: member.place)
        }
        reportDuplicates(members.map { Located(value: $0.value.name, place: $0.place) }, as: "region")
        if !members.contains(where: { (weights[$0.value] ?? 1) > 0 }) {
            findings.report("needs at least one region with a weight above 0", at: placement)
        }
    }

    private func reportDuplicates(_ names: [Located<String>], as kind: String) {
        var seen: [String: Int] = [:]
        for name in names {
            if let line = seen[name.value] {
                findings.report("\(kind) \(name.value) is already given in line \(line)", at: name.place)
            } else {
                seen[name.value] = name.place.line
            }
        }
    }
}
