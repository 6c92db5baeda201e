import LocalMesh
import MeshCore
import Testing
import Wire

extension QuietMesh {
    /// P8: typing is seen, and it ends.
    @Suite struct TypingTests {
        let mesh: MeshUnderTest
        let room: String
        let alice: String
        let typist: TestClient
        let observer: TestClient

        init() async throws {
            mesh = try .current
            room = MeshUnderTest.unique("ap-south/lobby")
            alice = MeshUnderTest.unique("alice")
            typist = try await TestClient.connect(mesh.node("eu-west"), as: alice)
            observer = try await TestClient.connect(mesh.node("us-east"), as: MeshUnderTest.unique("bob"))
            try await typist.subscribe(room)
            try await observer.subscribe(room, typing: true)
        }

        private func startTyping() async throws {
            let mark = observer.mark
            try await typist.setTyping(room, true)
            try await observer.typing(of: alice, in: room, active: true, after: mark)
        }

        private func end() async {
            await typist.close()
            await observer.close()
        }

        @Test("it is seen, also by those who come later, and stops when the user says so") func stops() async throws {
            try await startTyping()
            let late = try await TestClient.connect(mesh.node("ap-south"), as: MeshUnderTest.unique("late"))
            #expect(try await late.subscribe(room, typing: true).typing == [alice])
            #expect(try await typist.subscribe(room).typing.isEmpty)
            let mark = observer.mark
            try await typist.setTyping(room, false)
            try await observer.typing(of: alice, in: room, active: false, after: mark)
            await late.close()
            await end()
        }

        @Test("a publish stops it") func publishStops() async throws {
            try await startTyping()
            let mark = observer.mark
            try await typist.publish(room, "done", key: "k")
            try await observer.typing(of: alice, in: room, active: false, after: mark, within: .seconds(3))
            await end()
        }

        @Test("a lost connection stops it at once") func disconnectStops() async throws {
            try await startTyping()
            let mark = observer.mark
            await typist.drop()
            try await observer.typing(of: alice, in: room, active: false, after: mark, within: .seconds(3))
            await end()
        }

        @Test("it expires after 6 s") func expires() async throws {
            let begun = ContinuousClock.now
            try await startTyping()
            try await observer.typing(of: alice, in: room, active: false, after: 0, within: .seconds(12))
            let passed = ContinuousClock.now - begun
            #expect(passed > .milliseconds(5_500) && passed < .milliseconds(8_500), "\(passed)")
            // Whoever comes now does not see it either.
            #expect(try await observer.subscribe(room, typing: true).typing.isEmpty)
            await end()
        }

        @Test("repeats keep it alive and do not flicker") func repeats() async throws {
            try await startTyping()
            let begun = ContinuousClock.now
            // A client repeats every 3 s; here the clock is the mirror in Redis, whose time to live shrinks.
            let redis = try await mesh.region("ap-south").redis
            let url = try #require(redis?.url)
            let timeToLive = { () async throws -> Double in
                let end = Double(try await Program.redis(url, "ZSCORE", "hg:typing:{\(room)}:\(room)", alice)) ?? 0
                let now = Double(try await Program.redis(url, "TIME").split(separator: "\n").first ?? "") ?? 0
                return end / 1000 - now
            }
            for _ in 0..<2 {
                try await eventually("3 s have passed since the last repeat") { try await timeToLive() < 3.5 }
                try await typist.setTyping(room, true)
                try await eventually("the repeat has come to the home") { try await timeToLive() > 4 }
            }
            let changes = observer.recorder.record.frames.filter { $0.typing.user == alice }.map(\.typing.active)
            #expect(changes.allSatisfy { $0 }, "\(changes)")
            #expect(ContinuousClock.now - begun > .seconds(3))
            await end()
        }
    }
}
