import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

extension FaultyMesh {
    /// SIGTERM of a relay.
    @Suite(.serialized) struct DrainTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node

        init() async throws {
            mesh = try .current
            try await mesh.heal()
            node = try await mesh.node("eu-west")
        }

        @Test("every session hears 4000 with other edges and a slot, and the process ends in order") func drain() async throws {
            var clients: [TestClient] = []
            for _ in 0..<20 { clients.append(try await TestClient.connect(node, as: MeshUnderTest.unique("guest"))) }
            let begun = ContinuousClock.now
            try await mesh.local.kill(node.node, SIGTERM)
            var slots: [UInt32] = []
            let others = Set(await mesh.nodes.map(\.clientURL)).subtracting([node.clientURL])
            for client in clients {
                let goodbye = try await client.goodbye()
                #expect(goodbye.code == 4000 && goodbye.reconnect && !goodbye.reason.isEmpty)
                #expect(Set(goodbye.edges) == others && goodbye.edges.count == 2)
                slots.append(goodbye.afterMs)
                #expect(await client.closeCode() == 4000)
            }
            #expect(Set(slots).count >= 5 && slots.allSatisfy { $0 < 1_000 }, "\(slots)")
            #expect(try await mesh.local.waitForExit(of: node.node, timeout: .seconds(10)) == .exited(0))
            #expect(ContinuousClock.now - begun < .seconds(8))
            try await mesh.local.restart(node.node)
        }

        @Test("publishes under way are answered before the close") func inFlight() async throws {
            let root = try await mesh.node("ap-south")
            let room = MeshUnderTest.unique("ap-south/drained")
            let reader = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("reader"))
            try await reader.subscribe(room)
            let client = try await TestClient.connect(node, as: MeshUnderTest.unique("writer"))
            try await client.publish(room, "first", key: "first")
            // While the root is paused nothing gets an answer.
            try await mesh.local.kill(root.node, SIGSTOP)
            let ids = try client.post((0..<30).map { .publish(.text(room, "\($0)", key: "k\($0)")) })
            try await client.ping()
            try await mesh.local.kill(node.node, SIGTERM)
            #expect(try await client.goodbye().code == 4000)
            #expect(!client.recorder.record.frames.contains { ids.contains($0.id) })
            try await mesh.local.kill(root.node, SIGCONT)
            for id in ids {
                guard case .published(let published) = try await client.reply(id) else { throw SystemTestError("\(id)") }
                #expect(!published.duplicate)
            }
            #expect(await client.closeCode() == 4000)
            #expect(try await mesh.local.waitForExit(of: node.node, timeout: .seconds(12)) == .exited(0))
            try await reader.expectWhole(room, until: "k29", keys: ["first"] + (0..<30).map { "k\($0)" })
            await reader.close()
            try await mesh.local.restart(node.node)
        }

        @Test("meanwhile nobody is let in, and a second SIGTERM ends it at once") func secondSignal() async throws {
            let root = try await mesh.node("ap-south")
            let room = MeshUnderTest.unique("ap-south/held")
            let client = try await TestClient.connect(node, as: MeshUnderTest.unique("writer"))
            try await client.publish(room, "first")
            try await mesh.local.kill(root.node, SIGSTOP)
            try client.post(.publish(.text(room, "held")))
            try await client.ping()
            try await mesh.local.kill(node.node, SIGTERM)
            _ = try await client.goodbye()
            await #expect(throws: (any Error).self) { try await TestClient.dial(node) }
            let readiness: Readyz = try await HTTP.json("\(node.operationsURL)/readyz", status: 503)
            #expect(!readiness.ready && readiness["draining"]?.ok == false)
            #expect(try await HTTP.get("\(node.operationsURL)/healthz").status == 200)
            let begun = ContinuousClock.now
            try await mesh.local.kill(node.node, SIGTERM)
            #expect(try await mesh.local.waitForExit(of: node.node, timeout: .seconds(3)) == .exited(1))
            #expect(ContinuousClock.now - begun < .seconds(1))
            try await mesh.local.kill(root.node, SIGCONT)
            try await mesh.local.restart(node.node)
        }
    }
}
