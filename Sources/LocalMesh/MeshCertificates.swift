import MeshCore
import TLS

/// The certificates of a local mesh: one for each node and each Redis, and one for whoever looks after them.
struct MeshCertificates: Sendable {
    static let folder = "tls"
    static let operatorName = "operator"
    /// A local mesh is started anew more often.
    private static let days = 30

    let folder: CertificateFolder

    init(directory: String) { folder = CertificateFolder("\(directory)/\(Self.folder)") }

    var trustFile: String { folder.authority.chain }
    func redis(of region: RegionID) -> TLSCertificateFiles { folder.files("redis-\(region)") }

    /// The authority stays from run to run, so that whoever has come to trust it need not do so again.
    func write(_ plan: MeshPlan, mesh: String) throws(LocalMeshError) {
        var wish = CertificateFolder.Wish()
        wish.mesh = mesh
        wish.days = Self.days
        wish.nodes = plan.regions.flatMap(\.nodes).map(\.node)
        do {
            _ = try folder.write(wish, replacing: true)
            let authority = try TLSAuthority.load(folder.authority)
            for name in plan.regions.map({ "redis-\($0.region)" }) + [Self.operatorName] {
                let request = TLSCertificateRequest(
                    name: name, dns: ["localhost"], addresses: ["127.0.0.1"], validity: .days(Self.days))
                try authority.issue(request).write(to: folder.files(name))
            }
        } catch {
            throw .machine("\(error)")
        }
    }

    /// For questions to listeners and stores.
    func client() throws(LocalMeshError) -> TLSContext {
        do throws(TLSConfigurationFault) {
            return try .client(TLSClientSettings(trustFile: trustFile, certificate: folder.files(Self.operatorName)))
        } catch {
            throw .machine("\(error)")
        }
    }
}
