import Foundation
import LocalMesh
import MeshCore
import Testing

extension QuietMesh {
    /// Every door of the client listener, opened by clients that nobody here wrote.
    @Suite struct DoorTests {
        let mesh: MeshUnderTest

        init() throws { mesh = try .current }

        @Test("websockets, compressed and not", arguments: ["deflate", "none"]) func webSockets(_ compression: String) async throws {
            try await mesh.expectPasses("client_test.py", environment: ["HELIOGRAPH_COMPRESSION": compression])
        }

        @Test("grpcio, with code generated from our .proto") func calls() async throws { try await mesh.expectPasses("grpc_test.py") }

        @Test("ndjson by httpx, h2 and curl; ping and route over HTTP/2") func lines() async throws {
            try await mesh.expectPasses("ndjson_test.py")
        }

        @Test("WebSockets over HTTP/2 by h2 and wsproto") func webSocketsOverHTTP2() async throws {
            try await mesh.expectPasses("websocket_h2_test.py")
        }

        @Test("nghttp") func nghttp() async throws {
            let url = try await mesh.node("eu-west").clientURL
            let result = try await Program.run("nghttp", ["--verbose", "--no-dep", url + "/v1/ping", url + "/v1/route?room=x"])
            #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
            #expect(result.output.contains(":status: 204") && result.output.contains("heliograph-region: eu-west"))
            #expect(result.output.contains(":status: 200") && result.output.contains(#""room":"x""#))
            #expect(result.output.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL") || result.output.contains("(0x08):1"))
        }

        @Test("h2load: thousands of requests on many streams, and each is answered") func load() async throws {
            let url = try await mesh.node("eu-west").clientURL + "/v1/ping"
            let result = try await Program.run(
                "h2load", ["--requests", "4000", "--clients", "4", "--max-concurrent-streams", "100", url], within: .seconds(60))
            #expect(result.code == 0, "\(result.errors)")
            #expect(result.output.contains("4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout"), "\(result.output)")
            #expect(result.output.contains("4000 2xx, 0 3xx, 0 4xx, 0 5xx"))
        }
    }
}

extension FaultyMesh {
    @Suite(.serialized) struct DoorDrainTests {
        let mesh: MeshUnderTest

        init() async throws {
            mesh = try .current
            try await mesh.heal()
        }

        @Test("a node that stops says goodbye at every door of HTTP/2") func drain() async throws {
            let node = try await mesh.node("eu-west")
            let script = try await mesh.start("drain_test.py")
            try await eventually("the clients are there: \(script.errors)", within: .seconds(30)) { script.output.contains("ready") }
            try await mesh.local.kill(node.node, SIGTERM)
            let result = try await script.end(within: .seconds(30))
            #expect(result.code == 0 && result.output.contains("all checks passed"), "\(result.errors)")
            #expect(try await mesh.local.waitForExit(of: node.node, timeout: .seconds(15)) == .exited(0))
            try await mesh.local.restart(node.node)
        }
    }
}
