import FaultProxy
import MeshConfiguration
import MeshCore
import Testing

@testable import LocalMesh

@Suite struct LinkProxyTests {
    @Test func everyNodeSeesItsPeersBehindProxiesOfItsOwn() async throws {
        let folder = try Folder()
        let options = folder.options {
            ($0.regions, $0.nodes) = (3, 2)
            $0.linkProxies = true
        }
        let plan = MeshPlan(options) { 7100 + $0 }
        let proxies = try await LinkProxies.start(plan)
        let files = MeshFiles(directory: folder.path)
        try files.write(plan, options)
        try files.write(plan, options, behind: proxies)
        let nodes = plan.regions.flatMap(\.nodes)
        var ports: Set<Int> = []
        for node in nodes {
            let configuration = try ConfigurationLoader.load(path: files.configuration(of: node.node), node: node.node.name).get()
            #expect(configuration.node == node.node && configuration.addresses.mesh.port == node.meshPort)
            let seen = configuration.mesh.regions.flatMap(\.nodes)
            #expect(seen.map(\.node) == nodes.map(\.node))
            for (peer, real) in zip(seen, nodes) where peer.node != node.node {
                #expect(peer.addresses.mesh.port != real.meshPort && peer.addresses.client.port == real.clientPort)
                ports.insert(peer.addresses.mesh.port)
            }
        }
        #expect(ports.count == 30)
        await proxies.close()
    }
}
