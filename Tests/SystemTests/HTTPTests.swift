import Foundation
import LocalMesh
import MeshCore
import NIOHTTP1
import Testing
import Wire

extension QuietMesh {
    /// The endpoints of the two listeners, as protocol.md has them.
    @Suite struct HTTPTests {
        let mesh: MeshUnderTest

        init() throws { mesh = try .current }

        // MARK: The client listener

        @Test("ping names its region, for every origin", arguments: MeshUnderTest.regions) func ping(_ region: String) async throws {
            let answer = try await HTTP.get(mesh.node(region).clientURL + "/v1/ping")
            #expect(answer.status == 204 && answer.body.isEmpty)
            #expect(answer.headers.first(name: "heliograph-region") == region)
            #expect(answer.headers.first(name: "access-control-allow-origin") == "*")
        }

        @Test("every node routes a room alike, the home's edge first") func routeRoom() async throws {
            let urls = Set(await mesh.nodes.map(\.clientURL))
            // Health is hearsay and comes within a second.
            for node in await mesh.nodes {
                try await eventually("\(node.node) knows that all are healthy") {
                    let route: Route = try await HTTP.json("\(node.clientURL)/v1/route?room=lobby")
                    return route.edges.allSatisfy(\.healthy)
                }
            }
            for (name, home) in [("ap-south/lobby", "ap-south"), ("us-east/x", "us-east"), ("lobby", nil), ("a{b}c", nil)] {
                var routes: [Route] = []
                for node in await mesh.nodes {
                    routes.append(try await HTTP.json("\(node.clientURL)/v1/route?room=\(Self.encoded(name))"))
                }
                let first = try #require(routes.first)
                #expect(first.room == name && first.view == 1)
                if let home { #expect(first.home == home && first.standby == nil) } else { #expect(first.standby != nil) }
                for route in routes {
                    #expect(route.shard == first.shard && route.home == first.home && route.standby == first.standby)
                    #expect(Set(route.edges.map(\.url)) == urls && route.edges.count == 3)
                    #expect(route.edges.first?.region == route.home && route.edges.allSatisfy { $0.healthy && $0.load >= 0 })
                }
            }
        }

        @Test("a hash tag decides the shard; CRC16 as in Redis Cluster") func shards() async throws {
            let base = try await mesh.node("eu-west").clientURL
            // CLUSTER KEYSLOT foo, bar and 123456789 of a Redis Cluster.
            for (room, slot) in [("foo", 12_182), ("bar", 5_061), ("123456789", 12_739), ("x{foo}y", 12_182)] {
                let route: Route = try await HTTP.json("\(base)/v1/route?room=\(Self.encoded(room))")
                #expect(route.shard == slot)
            }
        }

        @Test("a user is routed as her own room, whatever her name holds") func routeUser() async throws {
            let base = try await mesh.node("us-east").clientURL
            for user in ["alice", "ä/b?&=#%+", "日本"] {
                let byUser: Route = try await HTTP.json("\(base)/v1/route?user=\(Self.encoded(user))")
                let byRoom: Route = try await HTTP.json("\(base)/v1/route?room=\(Self.encoded("@" + user))")
                // The rest is hints, and changes with every session.
                #expect(byUser.room == "@" + user && byRoom.room == byUser.room)
                #expect([byUser.home, byUser.standby] == [byRoom.home, byRoom.standby] && byUser.shard == byRoom.shard)
                #expect(byUser.home != byUser.standby)
            }
        }

        @Test("wrong questions", arguments: ["", "?user=a&room=b", "?room=", "?room=$x", "?user=a%20b", "?room=a%7Db", "?user=@a"])
        func routeErrors(_ query: String) async throws {
            let answer = try await HTTP.get("\(mesh.node("eu-west").clientURL)/v1/route\(query)")
            #expect(answer.status == 400 && answer.body.contains("error"))
        }

        @Test("other paths are not there") func unknownPath() async throws {
            #expect(try await HTTP.get("\(mesh.node("eu-west").clientURL)/v1/nothing").status == 404)
            #expect(try await HTTP.get("\(mesh.node("eu-west").operationsURL)/v1/nothing").status == 404)
            // A GET without the upgrade.
            #expect((400..<500).contains(try await HTTP.get("\(mesh.node("eu-west").clientURL)/v1/ws").status))
        }

        // MARK: The operations listener

        @Test("health and readiness", arguments: MeshUnderTest.regions) func ready(_ region: String) async throws {
            let base = try await mesh.node(region).operationsURL
            #expect(try await HTTP.get("\(base)/healthz").status == 200)
            let readiness: Readyz = try await HTTP.json("\(base)/readyz")
            #expect(readiness.ready && readiness.checks.allSatisfy(\.ok))
            #expect(Set(readiness.checks.map(\.name)) == ["redis", "mesh", "lease", "draining"])
        }

        private struct Regions: Codable, Sendable {
            struct View: Codable, Sendable {
                var epoch: Int
                var active: [String]
            }
            struct Region: Codable, Sendable {
                var region: String
                var state: String
                var nodes: Int
                var sessions: Int
                var rttMs: Double?
                var shardsHomed: Int
                var lastSeenMs: Int?
            }
            var view: View
            var `self`: String
            var regions: [Region]
        }

        @Test("regions as each sees them", arguments: MeshUnderTest.regions) func regions(_ region: String) async throws {
            let base = try await mesh.node(region).operationsURL
            let report: Regions = try await eventually("round trips are measured") {
                let report: Regions = try await HTTP.json("\(base)/v1/regions")
                return report.regions.allSatisfy { $0.rttMs != nil } ? report : nil
            }
            #expect(report.`self` == region && report.view.epoch == 1 && report.view.active == MeshUnderTest.regions)
            #expect(report.regions.map(\.region) == MeshUnderTest.regions)
            #expect(report.regions.allSatisfy { $0.state == "UP" && $0.nodes == 1 })
            #expect(report.regions.map(\.shardsHomed).reduce(0, +) == 16_384)
            #expect(report.regions.allSatisfy { (4_000...7_000).contains($0.shardsHomed) })
            #expect(report.regions.allSatisfy { ($0.lastSeenMs ?? 99_999) < 3_000 })
        }

        @Test("sessions are counted where they are") func nodes() async throws {
            let client = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("counted"))
            struct Nodes: Codable, Sendable {
                struct Node: Codable, Sendable {
                    var node: String
                    var region: String
                    var boot: Int?
                    var state: String
                    var sessions: Int
                    var gateway: Bool
                    var url: String
                }
                var nodes: [Node]
            }
            for node in await mesh.nodes {
                try await eventually("\(node.node) sees the session") {
                    let report: Nodes = try await HTTP.json("\(node.operationsURL)/v1/nodes")
                    return report.nodes.first { $0.region == "eu-west" }?.sessions ?? 0 >= 1
                }
                let report: Nodes = try await HTTP.json("\(node.operationsURL)/v1/nodes")
                #expect(report.nodes.map(\.region) == MeshUnderTest.regions)
                #expect(report.nodes.allSatisfy { $0.state == "UP" && $0.gateway && ($0.boot ?? 0) > 0 })
                #expect(report.nodes.map(\.url) == (await mesh.nodes.map(\.clientURL)))
            }
            await client.close()
        }

        @Test("a room is explained alike by every node") func room() async throws {
            let room = MeshUnderTest.unique("eu-west/lobby")
            let client = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("alice"))
            try await client.subscribe(room)
            let position = try await client.publish(room, "x").position
            struct Report: Codable, Sendable {
                struct Head: Codable, Sendable, Equatable {
                    var epoch: UInt64
                    var seq: UInt64
                }
                struct View: Codable, Sendable { var epoch: Int }
                var room: String
                var shard: Int
                var preference: [String]
                var view: View
                var home: String
                var root: String
                var head: Head?
                var subscribers: [String: Int]?
                var members: Int?
                var why: [String]
            }
            for node in await mesh.nodes {
                for path in [Self.encoded(room), room] {
                    let report: Report = try await eventually("\(node.node) knows the member") {
                        let report: Report = try await HTTP.json("\(node.operationsURL)/v1/rooms/\(path)")
                        return report.members == 1 ? report : nil
                    }
                    #expect(report.room == room && report.home == "eu-west" && report.root.hasSuffix("eu-west-0") && report.view.epoch == 1)
                    #expect(report.head == .init(epoch: position.epoch, seq: position.seq))
                    #expect(report.subscribers?["us-east"] == 1 && report.preference == ["eu-west"] && !report.why.isEmpty)
                }
            }
            #expect(try await HTTP.get("\(mesh.node("eu-west").operationsURL)/v1/rooms/$x").status == 400)
            await client.close()
        }

        @Test("metrics are Prometheus text and count what happened") func metrics() async throws {
            let node = try await mesh.node("eu-west")
            let room = MeshUnderTest.unique("us-east/metered")
            let before = try await Metrics.scrape(node.operationsURL)
            let client = try await TestClient.connect(node, as: MeshUnderTest.unique("alice"))
            try await client.subscribe(room)
            for n in 0..<10 { try await client.publish(room, "\(n)", key: "k\(n)") }
            _ = try await client.messages(room, until: "k9")
            let after = try await Metrics.scrape(node.operationsURL)
            #expect(
                after.types.keys.allSatisfy { $0.hasPrefix("heliograph_") } && after.values.keys.allSatisfy { $0.hasPrefix("heliograph_") })
            for family in [
                "heliograph_sessions", "heliograph_rooms", "heliograph_deliveries_total", "heliograph_publishes_total",
                "heliograph_link_queue_bytes", "heliograph_link_rtt_seconds", "heliograph_redis_latency_seconds", "heliograph_drops_total",
            ] {
                #expect(after.types[family] != nil, "\(family)")
            }
            #expect(after["heliograph_sessions"] >= 1)
            let acknowledged = #"heliograph_publishes_total{outcome="acknowledged"}"#
            #expect(after[acknowledged] >= before[acknowledged] + 10)
            #expect(after["heliograph_deliveries_total"] >= before["heliograph_deliveries_total"] + 10)
            await client.close()
        }

        // MARK: Redis

        @Test("redis-cli shows members, typing, leases and the log as documented") func redisKeys() async throws {
            let room = MeshUnderTest.unique("ap-south/shown")
            let alice = MeshUnderTest.unique("alice")
            let client = try await TestClient.connect(mesh.node("eu-west"), as: alice, device: "phone")
            try await client.subscribe(room)
            try await client.setPresence(.busy, note: "focus")
            try await client.setTyping(room, true)
            let redis = try #require(try await mesh.region("ap-south").redis).url
            try await eventually("the member is shown") {
                let lines = try await Program.redis(redis, "HGETALL", "hg:members:{\(room)}:\(room)").split(separator: "\n").map(
                    String.init)
                guard lines.count == 2, lines[0].hasPrefix("eu-west/eu-west-0#") else { return false }
                return lines[1].contains(#""user":"\#(alice)""#) && lines[1].contains(#""device":"phone""#)
                    && lines[1].contains(#""note":"focus""#) && lines[1].lowercased().contains("busy")
            }
            try await eventually("the typist is shown") {
                try await Program.redis(redis, "ZRANGE", "hg:typing:{\(room)}:\(room)", "0", "-1") == alice
            }
            let life = Int(try await Program.redis(redis, "PTTL", "hg:typing:{\(room)}:\(room)")) ?? 0
            #expect((1...7_000).contains(life))
            let lease = Int(try await Program.redis(redis, "PTTL", "hg:lease:ap-south/ap-south-0")) ?? 0
            #expect((1...5_000).contains(lease))
            let position = try await client.publish(room, "x").position
            let log = try await Program.redis(redis, "XREVRANGE", "hg:log:{\(room)}:\(room)", "+", "-", "COUNT", "1")
            #expect(log.hasPrefix("\(position.epoch)-\(position.seq)\n"))
            await client.close()
            try await eventually("the member is gone") {
                try await Program.redis(redis, "EXISTS", "hg:members:{\(room)}:\(room)") == "0"
            }
            try await eventually("the typist is gone") { try await Program.redis(redis, "ZCARD", "hg:typing:{\(room)}:\(room)") == "0" }
        }

        private static func encoded(_ text: String) -> String {
            text.utf8.map { byte in
                byte < 0x80 && (Character(UnicodeScalar(byte)).isLetter || Character(UnicodeScalar(byte)).isNumber)
                    ? String(UnicodeScalar(byte)) : "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
            }.joined()
        }
    }
}
