import MeshCore
import NIOCore
import Store
import Testing

private let services = ["webhook", "apns"]

/// What both stores promise about notifications: notes, queues, devices.
@Suite(.serialized) struct PushConformanceTests {
    private func batch(_ ids: String..., services: [String] = ["webhook"], most: Int = 100, settles: PushMark? = nil) -> PushBatch {
        PushBatch(
            entries: ids.map { .init(id: $0, body: ByteBuffer(string: "body of \($0)")) }, services: services, most: most, settles: settles)
    }

    private func claim(_ store: LoopStore, _ service: String = "webhook", limit: Int = 100) async throws -> [ClaimedPush] {
        try await store.call { $0.claimPushes(for: service, limit: limit, lease: .seconds(60)) }
    }

    @Test(arguments: StoreKind.allCases)
    func queuedOnceForEachService(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let (first, again) = (batch("a", "b", services: services), batch("b", "c", services: services))
            expect(try await store.call { $0.queuePushes(first) }, is: 0)
            expect(try await store.call { $0.queuePushes(again) }, is: 0)
            for service in services {
                let claimed = try await claim(store, service)
                #expect(claimed.map(\.id).sorted() == ["a", "b", "c"])
                #expect(claimed.allSatisfy { $0.claim == 1 && $0.body == ByteBuffer(string: "body of \($0.id)") })
            }
            expect(try await store.call { $0.claimPushes(for: "fcm", limit: 9, lease: .seconds(1)) }, is: [])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func fullQueueRefusesTheNewest(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let (two, three) = (batch("a", "b", most: 3), batch("b", "c", "d", "e", most: 3))
            expect(try await store.call { $0.queuePushes(two) }, is: 0)
            expect(try await store.call { $0.queuePushes(three) }, is: 2)
            expect(try await claim(store).map(\.id).sorted(), is: ["a", "b", "c"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func leaseEndsAndTheClaimIsCounted(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let one = batch("a")
            _ = try await store.call { $0.queuePushes(one) }
            expect(
                try await store.call { $0.claimPushes(for: "webhook", limit: 9, lease: .milliseconds(50)) }.map(\.claim), is: [1])
            try harness.pass(.milliseconds(100))
            let second = try #require(try await claim(store).first)
            #expect(second.claim == 2 && second.age >= .milliseconds(100))
            expect(try await claim(store), is: [])
            // The worker of the first claim has lost it: it cannot put it off, but it may say that it is over.
            try await store.call { $0.settlePushes(for: "webhook", [.init(id: "a", claim: 1, outcome: .later(delay: .zero, body: nil))]) }
            expect(try await claim(store), is: [])
            try await store.call { $0.settlePushes(for: "webhook", [.init(id: "a", claim: 1, outcome: .over)]) }
            expect(try await store.call { $0.pushQueue(of: "webhook") }, is: PushQueueState(count: 0, oldestAge: .zero))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func settledLaterComesBackWithItsNewBody(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let two = batch("a", "b")
            _ = try await store.call { $0.queuePushes(two) }
            #expect(try await claim(store).count == 2)
            let settled: [SettledPush] = [
                .init(id: "a", claim: 1, outcome: .later(delay: .milliseconds(100), body: ByteBuffer(string: "less"))),
                .init(id: "b", claim: 1, outcome: .later(delay: .seconds(60), body: nil)),
            ]
            try await store.call { $0.settlePushes(for: "webhook", settled) }
            try harness.pass(.milliseconds(150))
            let back = try await claim(store)
            #expect(back.map(\.id) == ["a"] && back.map(\.claim) == [2] && back.map(\.body) == [ByteBuffer(string: "less")])
            let state = try await store.call { $0.pushQueue(of: "webhook") }
            #expect(state.count == 2 && state.oldestAge >= .milliseconds(150))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func claimsAreSharedAndBounded(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let other = try await harness.connect()
            let five = batch("a", "b", "c", "d", "e")
            _ = try await store.call { $0.queuePushes(five) }
            async let here = claim(store, limit: 3)
            async let there = claim(other, limit: 3)
            let (a, b) = try await (here.map(\.id), there.map(\.id))
            #expect((a + b).sorted() == ["a", "b", "c", "d", "e"] && max(a.count, b.count) == 3)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func noteStandsUntilItIsMadeGood(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let first = PushMark(user: "alice", after: at(1, 5))
            let later = PushMark(user: "alice", after: at(1, 9))
            try await store.call { $0.markPush(first) }
            try await store.call { $0.markPush(later) }
            expect(try await store.call { $0.overduePushMarks(age: .seconds(5), limit: 9) }, is: [])
            try harness.pass(.milliseconds(100))
            expect(try await store.call { $0.overduePushMarks(age: .milliseconds(50), limit: 9) }, is: [first])
            // Another note than the one that stands: what that one speaks of is still owed.
            let (wrong, right) = (batch("a", settles: later), batch(settles: first))
            _ = try await store.call { $0.queuePushes(wrong) }
            expect(try await store.call { $0.overduePushMarks(age: .zero, limit: 9) }, is: [first])
            _ = try await store.call { $0.queuePushes(right) }
            expect(try await store.call { $0.overduePushMarks(age: .zero, limit: 9) }, is: [])
            try await store.call { $0.markPush(later) }
            expect(try await store.call { $0.overduePushMarks(age: .zero, limit: 9) }, is: [later])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func restartKeepsWhatIsQueued(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let one = batch("a")
            _ = try await store.call { $0.queuePushes(one) }
            try await store.call { $0.markPush(PushMark(user: "alice", after: at(1, 1))) }
            try harness.restart()
            expect(try await claim(store).map(\.id), is: ["a"])
            expect(try await store.call { $0.overduePushMarks(age: .zero, limit: 1) }.map(\.user), is: ["alice"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func nothingOfADeletedUserStaysQueued(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            // More than are looked at in one command.
            let hers = (1...2_500).map { PushBatch.Entry(id: "alice/1-\($0)/message", body: ByteBuffer(string: "psst")) }
            let full = PushBatch(entries: hers, services: services, most: 10_000, settles: nil)
            expect(try await store.call { $0.queuePushes(full) }, is: 0)
            let others = ["alice/2/1-1/message", "alice2/1-1/message", "bob/1-1/message"]
            let rest = batch(others[0], others[1], others[2], services: services, most: 10_000)
            expect(try await store.call { $0.queuePushes(rest) }, is: 0)
            for user in ["alice", "bob"] { try await store.call { $0.markPush(PushMark(user: user, after: at(1, 1))) } }
            let lent = try #require(try await claim(store, limit: 1).first)
            try await store.call { $0.forgetPushes(of: "alice", services: services) }
            for service in services {
                expect(try await store.call { $0.pushQueue(of: service) }.count, is: 3)
            }
            try await store.call {
                $0.settlePushes(for: "webhook", [.init(id: lent.id, claim: 1, outcome: .later(delay: .zero, body: nil))])
            }
            expect(try await claim(store, "apns").map(\.id).sorted(), is: others.sorted())
            expect(try await claim(store).allSatisfy { others.contains($0.id) }, is: true)
            expect(try await store.call { $0.overduePushMarks(age: .zero, limit: 9) }.map(\.user), is: ["bob"])
            try await store.call { $0.forgetPushes(of: "nobody", services: []) }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func devicesOfAUser(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let phone = StoredPushDevice(service: "apns", token: "abc", updatedAt: 1_795_000_000_000)
            let tablet = StoredPushDevice(service: "fcm", token: "d:\"e\"", updatedAt: 1)
            expect(try await store.call { $0.setPushDevice("phone", of: "alice", to: phone, most: 2) }, is: true)
            expect(try await store.call { $0.setPushDevice("tablet", of: "alice", to: tablet, most: 2) }, is: true)
            expect(try await store.call { $0.setPushDevice("watch", of: "alice", to: phone, most: 2) }, is: false)
            expect(try await store.call { $0.pushDevices(of: "alice") }, is: ["phone": phone, "tablet": tablet])
            expect(try await store.call { $0.setPushDevice("phone", of: "alice", to: tablet, most: 2) }, is: true)
            // The token that a service calls gone is not the one that the device has now.
            try await store.call { $0.removePushDevice("phone", of: "alice", token: "abc") }
            expect(try await store.call { $0.pushDevices(of: "alice") }.count, is: 2)
            try await store.call { $0.removePushDevice("phone", of: "alice", token: "d:\"e\"") }
            try await store.call { $0.removePushDevice("tablet", of: "alice", token: nil) }
            try await store.call { $0.removePushDevice("never", of: "bob", token: nil) }
            expect(try await store.call { $0.pushDevices(of: "alice") }, is: [:])
        }
    }
}
