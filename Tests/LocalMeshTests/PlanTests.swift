import Foundation
import JWTKit
import MeshConfiguration
import MeshCore
import Testing

@testable import LocalMesh

@Suite struct PlanTests {
    private func plan(_ change: (inout LocalMeshOptions) -> Void = { _ in }) -> MeshPlan {
        var options = LocalMeshOptions(dataDirectory: "data")
        change(&options)
        return MeshPlan(options) { options.basePort + $0 }
    }

    @Test func portsAreThoseOfTheContract() throws {
        let plan = plan { $0.nodes = 2 }
        #expect(plan.regions.map(\.region.name) == ["eu-west", "us-east", "ap-south"])
        for (i, region) in plan.regions.enumerated() {
            #expect(region.redisPort == 7400 + i)
            for (j, node) in region.nodes.enumerated() {
                #expect(node.node == NodeID(region: region.region, name: "\(region.region)-\(j)"))
                #expect(node.clientPort == 7100 + 10 * i + j)
                #expect(node.operationsPort == 7200 + 10 * i + j)
                #expect(node.meshPort == 7300 + 10 * i + j)
            }
        }
    }

    @Test func theLargestMeshUsesNoPortTwice() {
        let plan = plan {
            $0.regions = LocalMeshOptions.regionsMax
            $0.nodes = LocalMeshOptions.nodesMax
            $0.basePort = MeshPlan.basePortMax
        }
        let ports = plan.ports.map(\.port)
        #expect(ports.count == 8 * 10 * 3 + 8)
        #expect(Set(ports).count == ports.count)
        #expect(ports.allSatisfy { (1...65_535).contains($0) })
        #expect(Set(plan.regions.map(\.region)).count == 8)
    }

    @Test func theEmbeddedStoreNeedsNoPort() {
        #expect(plan { $0.store = .embedded }.regions.allSatisfy { $0.redisPort == nil })
    }

    @Test func mappingPortsAsksInTheOrderOfThePlan() {
        let plan = plan { $0.nodes = 3 }
        var next = 20_000
        let mapped = plan.mapPorts { _ in
            next += 1
            return next
        }
        #expect(mapped.ports.map(\.port) == Array(20_001...20_030))
        #expect(mapped.ports.map(\.purpose) == plan.ports.map(\.purpose))
    }

    @Test func impossibleOptionsAreRefused() {
        func refusal(_ change: (inout LocalMeshOptions) -> Void) -> String? {
            var options = LocalMeshOptions(dataDirectory: "data")
            change(&options)
            do throws(LocalMeshError) { try options.check() } catch { return error.description }
            return nil
        }
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0.basePort = 0 } == nil)
        #expect(refusal { $0.regions = 0 } == "a local mesh has 1 to 8 regions")
        #expect(refusal { $0.regions = 9 } == "a local mesh has 1 to 8 regions")
        #expect(refusal { $0.nodes = 11 } == "a region has 1 to 10 nodes")
        #expect(refusal { $0.basePort = 65_300 } == "the base port is 0 (free ports) or 1024 to 65227")
        #expect(refusal { $0.basePort = 80 } != nil)
        #expect(refusal { $0.basePort = -1 } != nil)
        #expect(refusal { $0.dataDirectory = "" } != nil)
        #expect(
            refusal {
                $0.store = .embedded
                $0.nodes = 2
            } == "the embedded store is the memory of one process: it allows one node a region")
    }

    @Test(arguments: LocalMeshOptions.StoreKind.allCases)
    func generatedFilesAreRightConfigurations(store: LocalMeshOptions.StoreKind) throws {
        let folder = try Folder()
        let options = folder.options {
            $0.store = store
            $0.regions = 4
            $0.nodes = store == .redis ? 2 : 1
            $0.regionYAML = "timings:\n  drain: 1s"
        }
        let plan = MeshPlan(options) { 7100 + $0 }
        try MeshFiles(directory: folder.path).write(plan, options)
        for node in plan.regions.flatMap(\.nodes) {
            let path = "\(folder.path)/\(node.node.region).yaml"
            let configuration = try ConfigurationLoader.load(path: path, node: node.node.name).get()
            #expect(configuration.node == node.node)
            #expect(configuration.addresses.client.port == node.clientPort)
            #expect(configuration.addresses.operations.port == node.operationsPort)
            #expect(configuration.addresses.mesh.port == node.meshPort)
            #expect((configuration.store == .embedded) == (store == .embedded))
            #expect(configuration.timings.drain == .seconds(1))
            #expect(configuration.mesh.placements["default"]?.count == 4)
            #expect(configuration.mesh.placements["sa-east"] == [RegionID("sa-east")])
        }
    }

    @Test func theSecretIsRandomPrivateAndKept() throws {
        let one = try Folder()
        let two = try Folder()
        for folder in [one, two] { try MeshFiles(directory: folder.path).write(plan(), folder.options()) }
        let secret = one.read("token.secret")
        #expect(secret.count == 65)
        #expect(secret != two.read("token.secret"))
        let mode = try FileManager.default.attributesOfItem(atPath: one.path + "/token.secret")[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try MeshFiles(directory: one.path).write(plan(), one.options())
        #expect(one.read("token.secret") == secret)
    }
}

@Suite struct DevelopmentTokenTests {
    @Test func theTokenHoldsWhatWasAskedFor() async throws {
        let secret = try TokenSecret(bytes: Array(repeating: 7, count: 32))
        let made = DevelopmentToken(user: "alice", role: .admin, device: "phone", ttlSeconds: 60)
        let text = try await made.signed(with: secret)
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret.bytes), digestAlgorithm: .sha256)
        #expect(try await keys.verify(text, as: DevelopmentToken.self) == made)
        #expect(made.exp - made.iat == 60)
        let other = await JWTKeyCollection().add(hmac: HMACKey(from: [UInt8](repeating: 8, count: 32)), digestAlgorithm: .sha256)
        await #expect(throws: JWTError.self) { try await other.verify(text, as: DevelopmentToken.self) }
    }

    @Test func anAbsentDeviceIsAbsentAndAnOldTokenExpired() async throws {
        let secret = try TokenSecret(bytes: Array(repeating: 7, count: 32))
        let old = DevelopmentToken(user: "bob", ttlSeconds: 10, issuedAt: Date(timeIntervalSince1970: 1_000))
        let text = try await old.signed(with: secret)
        let body = try #require(text.split(separator: ".").dropFirst().first)
        let padded =
            String(body).replacing("-", with: "+").replacing("_", with: "/") + String(repeating: "=", count: (4 - body.count % 4) % 4)
        let claims = try JSONSerialization.jsonObject(with: try #require(Data(base64Encoded: padded))) as? [String: Any]
        #expect(Set(try #require(claims).keys) == ["sub", "iat", "exp", "role"])
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret.bytes), digestAlgorithm: .sha256)
        await #expect(throws: JWTError.self) { try await keys.verify(text, as: DevelopmentToken.self) }
    }
}
