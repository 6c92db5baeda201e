import MeshCore
import NIOCore
import Store
import Testing

private let room = "eu/lobby"

/// What both stores promise about logs.
@Suite(.serialized) struct LogConformanceTests {
    @Test(arguments: StoreKind.allCases)
    func newLogBeginsAtOne(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            expect(try await store.call { $0.head(of: room) }, is: nil)
            let opened = try await store.call { $0.open(room, .first(epoch: 7)) }
            #expect(opened == OpenedLog(epoch: 7, head: .zero, lastAt: 0))
            expect(try await store.call { $0.head(of: room) }, is: .zero)
            let outcomes = try await store.call { $0.append(room, .of("a", "b", "c")) }
            #expect(outcomes == [.appended(at(7, 1)), .appended(at(7, 2)), .appended(at(7, 3))])
            expect(try await store.call { $0.head(of: room) }, is: at(7, 3))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func keyAppearsOnceAndFirstContentWins(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a", at: 500)) }
            let outcomes = try await store.call { $0.append(room, .of("b", "a", "b", at: 900)) }
            #expect(outcomes == [.appended(at(1, 2)), .duplicate(at(1, 1), at: 500), .duplicate(at(1, 2), at: 900)])
            // Scoped to the user, and binary-safe.
            expect(try await store.call { $0.append(room, .of("a", user: "bob")) }, is: [.appended(at(1, 3))])
            expect(
                try await store.call { $0.append(room, .of("a \n\0é-1 2", "a \n\0é-1 2")) },
                is: [
                    .appended(at(1, 4)), .duplicate(at(1, 4), at: 1000),
                ])
            let kept = try await store.call { $0.read(room, after: nil, before: nil, limit: 10, newest: false) }
            #expect(kept.bodies == ["a", "b", "a", "a \n\0é-1 2"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func timeNeverDecreases(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a", at: 5000)) }
            _ = try await store.call { $0.append(room, .of("b", at: 4000)) }
            expect(try await store.call { $0.append(room, .of("b")) }, is: [.duplicate(at(1, 2), at: 5000)])
            expect(try await store.call { $0.open(room, .first()) }, is: OpenedLog(epoch: 1, head: at(1, 2), lastAt: 5000))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func keysAreForgottenAfterTheWindow(_ kind: StoreKind) async throws {
        let retention = Retention(dedupWindow: .seconds(2))
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a", retention: retention)) }
            expect(try await store.call { $0.append(room, .of("a", retention: retention)) }, is: [.duplicate(at(1, 1), at: 1000)])
            try harness.pass(.seconds(1))
            _ = try await store.call { $0.append(room, .of("b", retention: retention)) }
            try harness.pass(.milliseconds(1_050))
            // a is past its window while b, younger, keeps the table alive.
            expect(try await store.call { $0.append(room, .of("a", retention: retention)) }, is: [.appended(at(1, 3))])
            try harness.pass(.milliseconds(2_050))
            let outcomes = try await store.call { $0.append(room, .of("a", "b", retention: retention)) }
            #expect(outcomes == [.appended(at(1, 4)), .appended(at(1, 5))])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func fullKeyTableRefusesNewKeysAndKeepsLiveOnes(_ kind: StoreKind) async throws {
        let retention = Retention(dedupWindow: .milliseconds(500), keysMax: 2)
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.open(room, .first()) }
            let outcomes = try await store.call { $0.append(room, .of("a", "b", "c", "a", retention: retention)) }
            #expect(outcomes == [.appended(at(1, 1)), .appended(at(1, 2)), .keysFull, .duplicate(at(1, 1), at: 1000)])
            try harness.pass(.milliseconds(550))
            expect(try await store.call { $0.append(room, .of("c", retention: retention)) }, is: [.appended(at(1, 3))])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func trimsExactly(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            for index in 0..<7 { _ = try await store.call { $0.append(room, .of("k\(index)", retention: Retention(messagesMax: 3))) } }
            let kept = try await store.call { $0.read(room, after: nil, before: nil, limit: 100, newest: false) }
            #expect(kept.positions == [at(1, 5), at(1, 6), at(1, 7)])
            expect(try await store.call { $0.epochs(of: room) }, is: [StoredEpoch(epoch: 1, first: 1, last: nil)])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func readsRanges(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            func read(_ after: Position?, _ before: Position?, _ limit: Int, newest: Bool = false) async throws -> [String] {
                try await store.call { $0.read(room, after: after, before: before, limit: limit, newest: newest) }.bodies
            }
            expect(try await read(nil, nil, 10), is: [])
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("1", "2", "3")) }
            _ = try await store.call { $0.open(room, .first(epoch: 4)) }
            _ = try await store.call { $0.append(room, .of("4", "5")) }
            expect(try await read(nil, nil, 10), is: ["1", "2", "3", "4", "5"])
            expect(try await read(nil, nil, 2), is: ["1", "2"])
            expect(try await read(nil, nil, 2, newest: true), is: ["4", "5"])
            expect(try await read(at(1, 2), nil, 10), is: ["3", "4", "5"])
            expect(try await read(at(1, 2), at(4, 5), 10), is: ["3", "4"])
            expect(try await read(nil, at(4, 4), 2, newest: true), is: ["2", "3"])
            expect(try await read(at(4, 5), nil, 10), is: [])
            expect(try await read(at(4, 5), at(1, 1), 10), is: [])
            expect(try await read(.zero, nil, 1), is: ["1"])
            expect(try await read(nil, .zero, 1), is: [])
            expect(try await read(at(.max, .max), nil, 1), is: [])
            expect(try await read(nil, at(.max, .max), 10, newest: true), is: ["1", "2", "3", "4", "5"])
            expect(try await read(nil, nil, 0), is: [])
            expect(try await read(nil, nil, -1, newest: true), is: [])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func bodiesAreBytes(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            let body = ByteBuffer(bytes: (0..<70_000).map { UInt8(truncatingIfNeeded: $0) })
            let batch = AppendBatch(
                fence: standardFence,
                messages: [
                    .init(user: "u", key: "k", at: 1, body: body), .init(user: "u", key: "empty", at: 1, body: ByteBuffer()),
                ], retention: .init(), name: "one")
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, batch) }
            let kept = try await store.call { $0.read(room, after: nil, before: nil, limit: 2, newest: false) }
            #expect(kept.map(\.body) == [body, ByteBuffer()])
        }
    }

    @Test("a batch behind one that was not appended is refused, behind one that was it is taken", arguments: StoreKind.allCases)
    func refusesWhatIsOutOfOrder(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            expect(try await store.error { $0.append(room, .of("c", "d", name: "two", behind: "one")) }, is: .outOfOrder)
            expect(try await store.call { $0.head(of: room) }, is: .zero)
            _ = try await store.call { $0.append(room, .of("a", "b", name: "one")) }
            expect(try await store.error { $0.append(room, .of("c", name: "two", behind: "other")) }, is: .outOfOrder)
            expect(try await store.call { $0.append(room, .of("c", name: "two", behind: "one")) }, is: [.appended(at(1, 3))])
            expect(try await store.error { $0.append(room, .of("d", name: "three", behind: "one")) }, is: .outOfOrder)
            // One that appends nothing new was there all the same.
            expect(try await store.call { $0.append(room, .of("a", name: "three")) }, is: [.duplicate(at(1, 1), at: 1000)])
            expect(try await store.call { $0.append(room, .of("d", name: "four", behind: "three")) }, is: [.appended(at(1, 4))])
        }
    }

    @Test("each message has its outcome, in a row or not", arguments: StoreKind.allCases)
    func mixedOutcomes(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            var batch = AppendBatch.of("c", "a", "d", "e", "b", "c", "f", at: 2000)
            batch.retention.keysMax = 5
            let mixed = batch
            expect(
                try await store.call { $0.append(room, mixed) },
                is: [
                    .appended(at(1, 3)), .duplicate(at(1, 1), at: 1000), .appended(at(1, 4)), .appended(at(1, 5)),
                    .duplicate(at(1, 2), at: 1000), .duplicate(at(1, 3), at: 2000), .keysFull,
                ])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func refusesEveryOtherFence(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            expect(try await store.error { $0.append(room, .of("a")) }, is: .notOpen)
            let standing = Fence(viewEpoch: 5, rosterVersion: 10)
            _ = try await store.call { $0.open(room, .first(standing)) }
            for other in [
                Fence(viewEpoch: 4, rosterVersion: 99), Fence(viewEpoch: 5, rosterVersion: 9), Fence(viewEpoch: 6, rosterVersion: 1),
            ] {
                expect(try await store.error { $0.append(room, .of("a", fence: other)) }, is: .fenced(standing))
            }
            for lower in [Fence(viewEpoch: 4, rosterVersion: 99), Fence(viewEpoch: 5, rosterVersion: 9)] {
                expect(try await store.error { $0.open(room, .first(lower)) }, is: .fenced(standing))
            }
            expect(try await store.call { $0.head(of: room) }, is: .zero)
            let higher = Fence(viewEpoch: 5, rosterVersion: 11)
            _ = try await store.call { $0.open(room, .first(higher)) }
            expect(try await store.error { $0.append(room, .of("a", fence: standing)) }, is: .fenced(higher))
            expect(try await store.call { $0.append(room, .of("a", fence: higher)) }, is: [.appended(at(1, 1))])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func epochTableTellsWhatEachEpochHolds(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first(epoch: 1)) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            // The same epoch again begins nothing; an epoch may end without a message.
            expect(try await store.call { $0.open(room, .first(epoch: 1)) }.epoch, is: 1)
            expect(try await store.call { $0.open(room, .first(epoch: 3)) }, is: OpenedLog(epoch: 3, head: at(1, 2), lastAt: 1000))
            expect(try await store.call { $0.open(room, .first(epoch: 4)) }, is: OpenedLog(epoch: 4, head: at(1, 2), lastAt: 1000))
            expect(try await store.call { $0.append(room, .of("c")) }, is: [.appended(at(4, 3))])
            expect(try await store.call { $0.open(room, .first(epoch: 2)) }, is: OpenedLog(epoch: 4, head: at(4, 3), lastAt: 1000))
            expect(
                try await store.call { $0.epochs(of: room) },
                is: [
                    StoredEpoch(epoch: 1, first: 1, last: 2), StoredEpoch(epoch: 3, first: 3, last: 2),
                    StoredEpoch(epoch: 4, first: 3, last: nil),
                ])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func epochTableIsBounded(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            for epoch in 1...UInt64(StoredEpoch.keptMax + 5) { _ = try await store.call { $0.open(room, .first(epoch: epoch)) } }
            let epochs = try await store.call { $0.epochs(of: room) }
            #expect(epochs.map(\.epoch) == Array(6...UInt64(StoredEpoch.keptMax + 5)))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func knownHeadIsNeverHandedOutAgain(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            // A new log of a room that lived elsewhere.
            expect(
                try await store.call { $0.open("moved", .first(epoch: 3, knownHead: at(2, 40))) },
                is: OpenedLog(epoch: 3, head: at(2, 40), lastAt: 0))
            expect(try await store.call { $0.append("moved", .of("a")) }, is: [.appended(at(3, 41))])
            // A log that lost its end: its epoch must not go on as if nothing were missing.
            _ = try await store.call { $0.open(room, .first(epoch: 3)) }
            _ = try await store.call { $0.append(room, .of("a", "b")) }
            expect(
                try await store.call { $0.open(room, .first(epoch: 3, knownHead: at(3, 9))) },
                is: OpenedLog(epoch: 4, head: at(3, 9), lastAt: 1000))
            expect(try await store.call { $0.append(room, .of("c")) }, is: [.appended(at(4, 10))])
            expect(
                try await store.call { $0.epochs(of: room) },
                is: [
                    StoredEpoch(epoch: 3, first: 1, last: 2), StoredEpoch(epoch: 4, first: 10, last: nil),
                ])
            // Nor one that is gone, even when the wanted epoch is behind.
            expect(try await store.call { $0.open("gone", .first(epoch: 3, knownHead: at(8, 9))) }.epoch, is: 9)
            // A root that knows less than the log changes nothing.
            expect(
                try await store.call { $0.open(room, .first(epoch: 4, knownHead: at(3, 1))) },
                is: OpenedLog(epoch: 4, head: at(4, 10), lastAt: 1000))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anotherIncarnationIsAnotherEpoch(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first(incarnation: "A", epoch: 5)) }
            expect(try await store.call { $0.open(room, .first(incarnation: "B", epoch: 5)) }.epoch, is: 6)
            expect(try await store.call { $0.open(room, .first(incarnation: "B", epoch: 6)) }.epoch, is: 6)
            expect(try await store.call { $0.open(room, .first(incarnation: "C", epoch: 9)) }.epoch, is: 9)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func largeNumbersAreExactAndTooLargeOnesRefused(_ kind: StoreKind) async throws {
        let epoch: UInt64 = 3 << 32 + 17
        let seq: UInt64 = (1 << 53) - 5
        try await withStore(kind) { _, store in
            _ = try await store.call {
                $0.open(room, .first(Fence(viewEpoch: epoch, rosterVersion: 2), epoch: epoch, knownHead: at(9, seq)))
            }
            let outcomes = try await store.call {
                $0.append(room, .of("a", at: 1_795_000_000_123, fence: Fence(viewEpoch: epoch, rosterVersion: 2)))
            }
            #expect(outcomes == [.appended(at(epoch, seq + 1))])
            expect(try await store.call { $0.head(of: room) }, is: at(epoch, seq + 1))
            for request in [
                OpenLog.first(epoch: .max), .first(epoch: 1 << 53), .first(knownHead: at(1, .max)), .first(knownHead: at(.max, 1)),
            ] {
                guard case .unexpectedReply = try await store.error({ $0.open("other", request) }) else {
                    Issue.record("accepted \(request)")
                    continue
                }
            }
            #expect(try await store.error { $0.attach(freshID: "x", knownEpoch: .max) } != nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func concurrentAppendersShareOneSequence(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            _ = try await store.call { $0.open(room, .first()) }
            var stores = [store]
            for _ in 0..<3 { stores.append(try await harness.connect()) }
            let rounds = 40
            let positions = try await withThrowingTaskGroup(of: [Position].self) { group in
                for (index, store) in stores.enumerated() {
                    group.addTask {
                        var mine: [Position] = []
                        for round in 0..<rounds {
                            let outcomes = try await store.call { $0.append(room, .of("\(index).\(round).a", "\(index).\(round).b")) }
                            for case .appended(let position) in outcomes { mine.append(position) }
                        }
                        return mine
                    }
                }
                var all: [Position] = []
                for try await mine in group {
                    #expect(mine == mine.sorted())
                    all += mine
                }
                return all
            }
            #expect(positions.sorted() == (1...UInt64(stores.count * rounds * 2)).map { at(1, $0) })
            let kept = try await store.call { $0.read(room, after: nil, before: nil, limit: 1000, newest: false) }
            #expect(kept.positions == positions.sorted())
        }
    }

    @Test(arguments: StoreKind.allCases)
    func pipelinedCallsAreAnsweredInOrder(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            _ = try await store.call { $0.open(room, .first()) }
            let order = try await store.call { store -> EventLoopFuture<[[AppendOutcome]]> in
                EventLoopFuture.whenAllSucceed((0..<200).map { store.append(room, .of("k\($0)")) }, on: store.head(of: room).eventLoop)
            }
            #expect(order == (1...200).map { [.appended(at(1, $0))] })
        }
    }
}
