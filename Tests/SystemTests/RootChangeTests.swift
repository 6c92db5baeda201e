import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

extension FaultyPairs {
    /// SIGKILL of the node that knows who is in a room.
    @Suite(.serialized) struct RootChangeTests {
        @Test("P7: nobody whose node lives is ever told to have left, nor who goes on elsewhere in time") func rootDies() async throws {
            let mesh = try MeshUnderTest.current
            let room = MeshUnderTest.unique("us-east/presence")
            let root = try await mesh.root(of: room)
            var places: [LocalMesh.Node] = []
            for node in await mesh.nodes where node.node != root.node { places.append(node) }
            var members: [TestClient] = []
            for place in places {
                let member = try await TestClient.connect(place, as: MeshUnderTest.unique("member"))
                try await member.subscribe(room, presence: true)
                members.append(member)
            }
            let ghost = try await TestClient.connect(root, as: MeshUnderTest.unique("ghost"))
            let mover = try await TestClient.connect(root, as: MeshUnderTest.unique("mover"))
            for client in [ghost, mover] { try await client.subscribe(room) }
            let all = Set((members + [ghost, mover]).map(\.user))
            for member in members {
                try await eventually("\(member.user) knows all") { Set(try await member.members(room).members.map(\.user)) == all }
                _ = try await member.roomPresence("all are counted", room, after: 0) { $0.count == all.count }
            }
            let marks = members.map(\.mark)
            let session = try await mover.welcome.session
            try await mesh.local.kill(root.node, SIGKILL)
            let moved = try await TestClient.connect(places[0], as: mover.user, session: session)
            try await moved.subscribe(room)
            _ = try await mesh.local.waitForExit(of: root.node, timeout: .seconds(5))
            // Whoever was on the dead node and has not come back leaves after the grace period: by then the new root has settled.
            for (member, mark) in zip(members, marks) {
                let left = try await member.roomPresence("the ghost left", room, after: mark, within: .seconds(15)) { !$0.left.isEmpty }
                #expect(left.left == [ghost.user] && left.count == all.count - 1)
            }
            let other = try await TestClient.connect(places[0], as: MeshUnderTest.unique("other"))
            try await other.subscribe(room)
            for (member, mark) in zip(members, marks) {
                _ = try await member.roomPresence("another joined", room, after: mark) { $0.joined.map(\.user) == [other.user] }
                let told = member.recorder.record.frames.dropFirst(mark).filter { $0.roomPresence.room == room }.map(\.roomPresence)
                #expect(told.flatMap(\.left) == [ghost.user], "\(member.user)")
                #expect(told.flatMap(\.joined).map(\.user) == [other.user], "\(member.user)")
                #expect(told.flatMap(\.updated).isEmpty, "\(member.user)")
                #expect(Set(try await member.members(room).members.map(\.user)) == all.subtracting([ghost.user]).union([other.user]))
            }
            try await mesh.local.restart(root.node)
            for client in members + [moved, other] { await client.close() }
        }
    }
}
