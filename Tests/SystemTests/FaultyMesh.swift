import Foundation
import LocalMesh
import MeshCore
import Testing

/// A mesh of one node a region to which things are done; each test leaves it whole, so they take turns.
@Suite("Faults", .serialized, .mesh(), .timeLimit(.minutes(2))) enum FaultyMesh {}

/// The same with two nodes a region.
@Suite("Faults, two nodes a region", .serialized, .mesh(nodes: 2), .timeLimit(.minutes(2))) enum FaultyPairs {}

/// `GET /v1/rooms/{room}`, as far as tests need it.
struct RoomPlace: Codable, Sendable {
    var home: String?
    var root: String?
}

extension MeshUnderTest {
    /// Mends what a test that failed has left broken, so that the next one speaks for itself.
    func heal() async throws {
        if local.options.linkProxies { try await local.healLinks() }
        for region in await local.regions {
            if let redis = region.redis {
                if !redis.isRunning { try await local.startRedis(region.region) } else { kill(redis.pid, SIGCONT) }
            }
            for node in region.nodes {
                if node.isRunning { try await local.kill(node.node, SIGCONT) } else { try await local.restart(node.node) }
            }
        }
    }

    func root(of room: String, seenFrom region: String = "eu-west") async throws -> LocalMesh.Node {
        let place: RoomPlace = try await HTTP.json("\(try await node(region).operationsURL)/v1/rooms/\(room)")
        guard let root = await nodes.first(where: { $0.node.description == place.root || $0.node.name == place.root }) else {
            throw SystemTestError("\(room) is rooted at \(place.root ?? "no node")")
        }
        return root
    }
}
