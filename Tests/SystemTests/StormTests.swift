import Foundation
import LocalMesh
import MeshCore
import SwiftProtobuf
import Testing
import Wire

/// Of each node of the suite, and of the one that takes everybody in before she dies.
private let (hellosPerSecond, hellosPerSecondBefore) = (60, 1_000)

/// Many clients that come at once, to relays that take few.
@Suite(
    "Reconnect storms", .serialized,
    .mesh(
        nodes: 2, cells: 1,
        yaml: """
            limits:
              hellosPerSecondMax: \(hellosPerSecond)
            timings:
              helloTimeout: 60s
            """), .timeLimit(.minutes(5))) enum Storms
{}

extension Storms {
    @Suite(.serialized) struct ReturnTests {
        let mesh: MeshUnderTest

        init() async throws {
            mesh = try .current
            try await mesh.heal()
        }

        @Test("10,000 sessions of a node that is killed go on at the others, at a pace, and miss nothing") func returns() async throws {
            let storm = try await Storm(mesh, quick: 300, crowd: 9_700, lost: 50, newcomers: 500)
            try await hasten(storm.dying)
            try await storm.begin()
            let (mark, commands) = (storm.observer.mark, try await storm.storeCommands())
            let drops = try await storm.drops("admission_refused")

            let killedAt = ContinuousClock.now
            try await mesh.local.kill(storm.dying.node, SIGKILL)
            try await storm.comeBack()

            let refused = storm.everybody.flatMap(\.weather.record.refusals)
            check(refused)
            #expect(try await storm.drops("admission_refused") == drops + Double(refused.count))
            checkOrder(storm)
            let returned = storm.returning.flatMap(\.weather.record.welcomes)
            // Half of it is what the dead node's sessions leave behind: members that go, and when they were last seen.
            let each = Double(try await storm.storeCommands() - commands) / Double(returned.count)
            #expect(each <= 16, "\(each) commands for each session")
            try await storm.publishLive()
            #expect(returned.count == 10_000 && returned.allSatisfy(\.isResume))
            try await check(storm, told: storm.told(after: mark), returned.map { ($0.user, $0.at - killedAt) })
            try await storm.end()
            try await mesh.local.restart(storm.dying.node)
        }

        /// The node starts again, and takes many sessions a second.
        private func hasten(_ node: LocalMesh.Node) async throws {
            let file = mesh.configuration(of: node.node.region.name)
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let limit = "hellosPerSecondMax: "
            try text.replacing(limit + "\(hellosPerSecond)", with: limit + "\(hellosPerSecondBefore)").write(
                toFile: file, atomically: true, encoding: .utf8)
            try await mesh.local.restart(node.node)
            try text.write(toFile: file, atomically: true, encoding: .utf8)
        }

        private func check(_ refused: [Weather.Refusal]) {
            #expect(refused.count > 500, "a storm that nobody was turned away in shows nothing")
            #expect(
                refused.allSatisfy {
                    $0.goodbye.code == 4003 && $0.goodbye.reconnect && $0.goodbye.afterMs == $0.retryAfterMs && $0.closeCode == 4003
                })
            #expect(refused.allSatisfy { (1...30_000).contains($0.retryAfterMs) })
            let slots = Dictionary(grouping: refused) { $0.retryAfterMs / 1_000 }.mapValues(\.count)
            #expect(slots.values.allSatisfy { $0 < refused.count / 4 }, "slots are spread: \(slots)")
        }

        /// Whoever comes at the slot is served, or is soon; and of those who were new fewer were let in at once than of those who resumed.
        private func checkOrder(_ storm: Storm) {
            let resumes = storm.crowd.flatMap(\.weather.record.welcomes)
            let joins = storm.newcomers.weather.record.welcomes
            #expect((resumes + joins).allSatisfy { $0.hellos <= 8 })
            let atOnce = [resumes, joins].map { welcomes in Double(welcomes.count { $0.hellos == 1 }) / Double(welcomes.count) }
            #expect(atOnce[1] < atOnce[0] / 2, "\(atOnce)")
        }

        /// Nobody has two devices, or is gone. Who was back within the grace period was never seen to go; who came after it left, and joined;
        /// who has not come back has left.
        private func check(_ storm: Storm, told: [String: [String]], _ returned: [(user: String, after: Duration)]) async throws {
            let inTime = returned.filter { $0.after < .seconds(3) }
            #expect(!inTime.isEmpty && inTime.allSatisfy { told[$0.user] == nil })
            let late = returned.filter { $0.after > .seconds(10) }
            #expect(!late.isEmpty && late.allSatisfy { told[$0.user] == ["left", "joined 1"] })
            #expect(returned.allSatisfy { told[$0.user] == nil || told[$0.user] == ["left", "joined 1"] })
            let gone = told.filter { $0.key.hasPrefix("lost-") }
            #expect(gone.count == storm.lost.count && gone.values.allSatisfy { $0 == ["left"] })
            let members = try await storm.members()
            #expect(members.count == storm.everybody.reduce(1) { $0 + $1.count })
            #expect(members.values.allSatisfy { $0 == 1 })
        }

        @Test("whoever resumes is answered before whoever is new") func resumesFirst() async throws {
            let node = try await mesh.node("ap-south")
            let (burst, joins, resumes) = (0..<30, 30..<90, 90..<150)
            var tokens: [String] = []
            for n in 0..<resumes.upperBound { tokens.append(try await mesh.token(MeshUnderTest.unique("comer-\(n)"))) }
            let clients = try await withThrowingTaskGroup(of: (Int, TestClient).self) { group in
                for n in tokens.indices { group.addTask { (n, try await TestClient.open(node)) } }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            // The first ones spend the burst; those that resume come last.
            for n in burst.lowerBound..<resumes.upperBound {
                let hello = RelayHello.with {
                    $0.token = tokens[n]
                    if resumes.contains(n) { $0.session = "of-another-node-\(n)" }
                }
                try clients[n]?.post(.hello(hello))
            }
            let joined = try await answers(joins.compactMap { clients[$0] })
            let resumed = try await answers(resumes.compactMap { clients[$0] })
            #expect(resumed.count == resumes.count, "nobody who resumes was turned away")
            let last = try #require(resumed.max())
            #expect(joined.filter { $0 < last }.count < joins.count / 2, "new ones wait until all who resume are served")
            for client in clients.values { await client.drop() }
        }

        /// When each was answered; those who were turned away are left out.
        private func answers(_ clients: [TestClient]) async throws -> [ContinuousClock.Instant] {
            var times: [ContinuousClock.Instant] = []
            for client in clients {
                await client.recorder.wait(within: .seconds(10)) { !$0.frames.isEmpty }
                let record = client.recorder.record
                if case .error(let error)? = record.frames.first?.frame, error.code == .unavailable { continue }
                times.append(try #require(record.times.first))
            }
            return times
        }
    }
}
