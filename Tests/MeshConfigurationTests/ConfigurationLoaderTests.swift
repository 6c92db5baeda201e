import Foundation
import MeshConfiguration
import MeshCore
import Testing

@Suite struct ConfigurationLoaderTests {
    @Test func aWholeConfigurationIsRead() throws {
        let files = try Files()
        let configuration = try files.load().get()
        #expect(configuration.node == NodeID(region: RegionID("eu-west"), name: "eu-west-0"))
        #expect(configuration.addresses.client == HostPort(host: "127.0.0.1", port: 7100))
        #expect(configuration.addresses.clientURL == "http://127.0.0.1:7100")
        #expect(configuration.store == .redis(HostPort(host: "127.0.0.1", port: 7400)))
        #expect(configuration.cells == 3)
        #expect(configuration.logging == LoggingConfiguration(level: "debug", format: .json))
        #expect(configuration.limits.maxFrameBytes == 32_768)
        #expect(configuration.limits.connectionsMax == 1_000)
        #expect(configuration.limits.maxHelloBytes == RelayLimits().maxHelloBytes)
        #expect(configuration.timings.heartbeatDefault == .seconds(20))
        #expect(configuration.timings.linkPing == .milliseconds(250))
    }

    @Test func theMeshIsRead() throws {
        let files = try Files()
        let mesh = try files.load().get().mesh
        #expect(mesh.name == "test-mesh")
        #expect(mesh.regions.map(\.region.name) == ["eu-west", "us-east"])
        #expect(mesh.regions.map(\.weight) == [100, 100])
        #expect(mesh.regions[0].nodes.map(\.node.name) == ["eu-west-0", "eu-west-1"])
        #expect(mesh.regions[0].nodes[1].addresses.clientURL == "https://chat.example")
        #expect(mesh.regions[1].nodes[0].addresses.mesh == HostPort(host: "::1", port: 7310))
        #expect(mesh.placements["eu"]?.map(\.name) == ["eu-west"])
        #expect(mesh.placements["default"]?.map(\.name) == ["eu-west", "us-east"])
        #expect(mesh.tokenSecretFile == files.folder + "/token.secret")
    }

    @Test func theNodeCanBeChosen() throws {
        let files = try Files()
        #expect(try files.load(node: "eu-west-1").get().node.name == "eu-west-1")
        #expect(
            files.errors(node: "eu-west-7") == ["eu-west.yaml:1: node: eu-west-7 is not among the nodes of eu-west: eu-west-0, eu-west-1"])
    }

    @Test func theOnlyNodeOfARegionNeedsNoName() throws {
        let region = Files.region.replacing("region: eu-west", with: "region: us-east").replacing("node: eu-west-0\n", with: "")
        #expect(try Files(region: region).load().get().node.name == "us-east-0")
    }

    @Test func theDefaultPlacementLeavesOutRegionsThatHomeNothing() throws {
        let mesh = Files.mesh.replacing("  - region: us-east", with: "  - region: us-east\n    weight: 0")
        #expect(try Files(mesh: mesh).load().get().mesh.placements["default"]?.map(\.name) == ["eu-west"])
    }

    @Test func defaultsSatisfyEveryRelation() throws {
        let bare = "region: us-east\nmesh: mesh.yaml\nstore:\n  kind: embedded\nlimits: {}\ntimings: {}\n"
        let configuration = try Files(region: bare).load().get()
        #expect(configuration.limits == RelayLimits())
        #expect(configuration.timings == RelayTimings())
        #expect(configuration.cells >= 1)
    }

    @Test(arguments: ["eu-west", "us-east", "ap-south"])
    func theShippedRegionsAreRight(region: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let configuration = try ConfigurationLoader.load(path: root.path + "/regions/\(region).yaml", node: nil).get()
        let index = try #require(["eu-west", "us-east", "ap-south"].firstIndex(of: region))
        #expect(configuration.addresses.client.port == 7100 + 10 * index)
        #expect(configuration.addresses.operations.port == 7200 + 10 * index)
        #expect(configuration.addresses.mesh.port == 7300 + 10 * index)
        #expect(configuration.store == .redis(HostPort(host: "127.0.0.1", port: 7400 + index)))
    }
}
