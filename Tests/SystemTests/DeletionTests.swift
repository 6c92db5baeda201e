import Foundation
import HeliographClient
import LocalMesh
import MeshCore
import NIOHTTP1
import SwiftProtobuf
import Testing
import Wire

/// What curl says of the operations listener.
enum Operations {
    struct Answer: Sendable {
        var status: Int
        var body: String
    }

    struct Deleted: Codable, Sendable {
        struct Missing: Codable, Sendable {
            var region: String
            var reason: String
        }

        var room: String?
        var user: String?
        var deleted: Bool
        var regions: [String]
        var missing: [Missing]
    }

    static func ask(_ method: String, _ url: String) async throws -> Answer {
        let result = try await Program.run(
            "curl", ["--silent", "--show-error", "--max-time", "30", "--request", method, "--write-out", "\n%{http_code}", url],
            within: .seconds(40))
        guard result.code == 0, let line = result.output.lastIndex(of: "\n"), let status = Int(result.output[line...].dropFirst()) else {
            throw SystemTestError("curl \(method) \(url): \(result.errors)")
        }
        return Answer(status: status, body: String(result.output[..<line]))
    }

    static func delete(_ url: String, status: Int = 200) async throws -> Deleted {
        let answer = try await ask("DELETE", url)
        guard answer.status == status else { throw SystemTestError("DELETE \(url) answered \(answer.status): \(answer.body)") }
        return try JSONDecoder().decode(Deleted.self, from: Data(answer.body.utf8))
    }
}

extension TestClient {
    func unsubscribed(from room: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> RelayError {
        try await wait("the end of its subscription to \(room)", sourceLocation: sourceLocation) { frames in
            frames.lazy.compactMap { frame -> RelayError? in
                guard case .unsubscribed(let ended) = frame.frame, ended.room == room else { return nil }
                return ended.error
            }.first
        }
    }
}

extension QuietMesh {
    /// Rooms and users that are deleted while they are used.
    @Suite struct DeletionTests {
        let mesh: MeshUnderTest

        init() throws { mesh = try .current }

        private func connectEverywhere(_ name: String) async throws -> [TestClient] {
            var clients: [TestClient] = []
            for region in MeshUnderTest.regions {
                clients.append(try await TestClient.connect(mesh.node(region), as: MeshUnderTest.unique(name)))
            }
            return clients
        }

        @Test("a deleted room ends its subscriptions in every region, and its positions go on", arguments: MeshUnderTest.regions)
        func room(askedIn region: String) async throws {
            let room = MeshUnderTest.unique("us-east/gone")
            let clients = try await connectEverywhere("reader")
            for client in clients { try await client.subscribe(room, presence: true) }
            var last = RelayPosition()
            for n in 0..<5 { last = try await clients[n % 3].publish(room, "\(n)", key: "k\(n)").position }
            for client in clients { _ = try await client.messages(room, until: "k4") }

            let report = try await Operations.delete("\(mesh.node(region).operationsURL)/v1/rooms/\(room)")
            #expect(report.room == room && report.deleted && report.missing.isEmpty)
            #expect(Set(report.regions) == Set(MeshUnderTest.regions))
            for client in clients {
                let error = try await client.unsubscribed(from: room)
                #expect(error.code == .notFound && error.message == "the room was deleted")
            }
            #expect(try await clients[0].history(room).messages.isEmpty)
            let typing = try await clients[0].error(of: .typing(.with { ($0.room, $0.active) = (room, true) }))
            #expect(typing.code == .failedPrecondition, "nobody is subscribed any more")

            // It may be used again at once. An old key is a new message, at a higher position.
            let again = try await clients[1].subscribe(room)
            #expect(again.head == last)
            let published = try await clients[2].publish(room, "anew", key: "k0")
            #expect(!published.duplicate && published.position.seq == last.seq + 1 && published.position.epoch > last.epoch)
            let seen = try await clients[1].wait("the new message") { frames in frames.messages(room).first { $0.text == "anew" } }
            #expect(seen.position == published.position)
            #expect(try await clients[0].history(room, after: RelayPosition(.zero)).messages.map(\.text) == ["anew"])
            #expect(!clients[1].recorder.record.frames.contains { if case .gap = $0.frame { true } else { false } })
            for client in clients { await client.close() }
        }

        @Test("the stores keep nothing of a deleted room but its numbers") func stores() async throws {
            let room = MeshUnderTest.unique("ap-south/kept")
            let client = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("writer"))
            try await client.publish(room, "secret")
            // A copy from when another region was the home.
            let elsewhere = try #require(try await mesh.region("eu-west").redis).url
            _ = try await Program.redis(elsewhere, "XADD", "hg:log:{\(room)}:\(room)", "1-1", "body", "old")
            _ = try await Operations.delete("\(mesh.node("us-east").operationsURL)/v1/rooms/\(room)")
            for region in MeshUnderTest.regions {
                let redis = try #require(try await mesh.region(region).redis).url
                let keys = try await Program.redis(redis, "KEYS", "hg:*:\(room)").split(separator: "\n").map(String.init)
                let numbers = [":meta:", ":epochs:"]
                #expect(keys.allSatisfy { key in numbers.contains { key.contains($0) } }, "\(region): \(keys)")
            }
            await client.close()
        }

        @Test("a room that was never used is deleted too; wrong methods and names are refused") func edges() async throws {
            let base = try await mesh.node("eu-west").operationsURL
            #expect(try await Operations.delete("\(base)/v1/rooms/\(MeshUnderTest.unique("never"))").deleted)
            #expect(try await Operations.ask("POST", "\(base)/v1/rooms/lobby").status == 405)
            #expect(try await Operations.ask("GET", "\(base)/v1/users/alice").status == 405)
            #expect(try await Operations.ask("DELETE", "\(base)/v1/rooms/$x").status == 400)
            #expect(try await Operations.ask("DELETE", "\(base)/v1/users/@alice").status == 400)
            #expect(try await Operations.ask("DELETE", "\(mesh.node("eu-west").clientURL)/v1/rooms/lobby").status == 404, "clients cannot")
        }

        @Test("a deleted user is gone everywhere", arguments: MeshUnderTest.regions) func user(homedIn home: String) async throws {
            let user = try await mesh.user("leaver", homedIn: home)
            let inbox = "@\(user)"
            let room = MeshUnderTest.unique("eu-west/room")
            let sessions = [
                try await TestClient.connect(mesh.node("eu-west"), as: user, device: "laptop"),
                try await TestClient.connect(mesh.node("ap-south"), as: user, device: "phone"),
            ]
            let friend = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("friend"))
            try await sessions[0].subscribe(inbox)
            try await sessions[1].subscribe(room)
            try await friend.subscribe(room)
            _ = try await friend.watch([user])
            try await friend.publish(inbox, "psst", key: "p")
            try await sessions[1].publish(room, "mine stays", key: "m")
            _ = try await sessions[0].messages(inbox, until: "p")

            let confirmed = try await friend.publish(room, "read this", key: "r").position
            _ = try await sessions[1].messages(room, until: "r")
            try await sessions[1].done(.receipt(.with { ($0.room, $0.position, $0.kind) = (room, confirmed, .read) }))
            let receipts = "hg:receipts:{\(room)}:\(room)"
            let redis = try #require(try await mesh.region("eu-west").redis).url
            try await eventually("her receipt is stored") { try await Program.redis(redis, "HEXISTS", receipts, user) == "1" }
            let exported = try await export(user, from: home).filter { $0.kind == "receipt" }
            #expect(exported.map(\.room) == [room] && exported.first?.read?.seq == confirmed.seq)

            let report = try await Operations.delete("\(mesh.node("us-east").operationsURL)/v1/users/\(user)")
            #expect(try await Program.redis(redis, "HLEN", receipts) == "0")
            #expect(report.user == user && report.deleted && Set(report.regions) == Set(MeshUnderTest.regions))
            for session in sessions {
                let goodbye = try await session.goodbye()
                #expect(goodbye.code == 4502 && !goodbye.reconnect && goodbye.reason == "the user was deleted")
                #expect(await session.closeCode() == 4502)
            }
            _ = try await friend.wait("her being offline, never seen") { frames in
                frames.contains { $0.userPresence.user == user && $0.userPresence.status == .offline && $0.userPresence.lastSeen == 0 }
                    ? true : nil
            }
            #expect(
                try await friend.history(room).messages.map(\.text) == ["mine stays", "read this"],
                "what she said to others stays with them")
            for region in MeshUnderTest.regions {
                let redis = try #require(try await mesh.region(region).redis).url
                let keys = try await Program.redis(redis, "KEYS", "hg:*:\(inbox)").split(separator: "\n").map(String.init)
                #expect(keys.allSatisfy { $0.contains(":meta:") || $0.contains(":epochs:") }, "\(region): \(keys)")
            }
            // Whoever still has her token begins anew.
            let returned = try await TestClient.connect(mesh.node("us-east"), as: user)
            #expect(try await returned.history(inbox).messages.isEmpty)
            await returned.close()
            await friend.close()
        }

        // MARK: Export

        private struct Line: Decodable {
            struct Place: Decodable { var seq: UInt64 }
            struct Message: Decodable {
                var text: String?
                var from: String
                var position: Place
            }

            var kind: String
            var user: String?
            var status: String?
            var device: String?
            var lastSeen: Int64?
            var message: Message?
            var room: String?
            var read: Place?
        }

        private func export(_ user: String, from region: String) async throws -> [Line] {
            let answer = try await HTTP.get("\(mesh.node(region).operationsURL)/v1/users/\(user)/export")
            #expect(answer.status == 200 && answer.headers.first(name: "content-type") == "application/x-ndjson")
            return try answer.body.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        }

        @Test("an export has all that is kept, from every region alike", arguments: MeshUnderTest.regions)
        func export(askedIn region: String) async throws {
            let user = MeshUnderTest.unique("exported")
            let friend = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("friend"))
            let texts = (0..<450).map { "message \($0)" }
            for text in texts { _ = try friend.post(.publish(.text("@\(user)", text))) }
            try await friend.publish("@\(user)", "the last")
            let away = try await export(user, from: region)
            #expect(away.first?.kind == "profile" && away.first?.user == user && away.first?.status == "OFFLINE")
            #expect(away.dropFirst().allSatisfy { $0.kind == "message" && $0.message?.from == friend.user })
            #expect(away.compactMap(\.message?.text) == texts + ["the last"])
            #expect(away.compactMap(\.message?.position.seq) == Array(1...451))

            let session = try await TestClient.connect(mesh.node("eu-west"), as: user, device: "phone", status: .busy)
            try await eventually("her device is shown") {
                let lines = try await export(user, from: region)
                return lines.first?.status == "BUSY" && lines.contains { $0.kind == "device" && $0.device == "phone" }
            }
            await session.close()
            await friend.close()
        }

        @Test("an export of nobody is a profile and nothing else") func exportOfNobody() async throws {
            let lines = try await export(MeshUnderTest.unique("nobody"), from: "ap-south")
            #expect(lines.map(\.kind) == ["profile"] && lines.first?.lastSeen == 0)
        }
    }
}

extension FaultyMesh {
    @Suite struct DeletionFaultTests {
        @Test("what cannot be reached is told, and a repetition finishes it") func unreachable() async throws {
            let mesh = try MeshUnderTest.current
            try await mesh.heal()
            let room = MeshUnderTest.unique("us-east/stubborn")
            let client = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("writer"))
            try await client.publish(room, "x")
            let operations = try await mesh.node("eu-west").operationsURL
            try await mesh.local.kill(mesh.node("ap-south").node, SIGKILL)
            let partial = try await eventually("the region is missed") {
                let report = try await Operations.delete("\(operations)/v1/rooms/\(room)", status: 503)
                return report.missing.map(\.region) == ["ap-south"] ? report : nil
            }
            #expect(!partial.deleted && partial.regions == ["eu-west", "us-east"])
            #expect(try await client.history(room).messages.isEmpty)
            try await mesh.local.restart(mesh.node("ap-south").node)
            try await eventually("it is deleted everywhere", within: .seconds(20)) {
                try await Operations.ask("DELETE", "\(operations)/v1/rooms/\(room)").status == 200
            }
            await client.close()
        }
    }
}
