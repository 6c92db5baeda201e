import MeshCore
import NIOCore
import Store
import Testing

private let room = "eu/{lobby}"

private func receipt(_ user: String, _ delivered: Position, _ read: Position = .zero, hidden: Bool = false) -> Receipt {
    Receipt(ReceiptOwner(user: user, isHidden: hidden), ReceiptPositions(delivered: delivered, read: read))
}

/// What both stores promise about receipts.
@Suite(.serialized) struct ReceiptConformanceTests {
    @Test(arguments: StoreKind.allCases)
    func receiptsMoveForwardEachByItself(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            expect(try await store.call { $0.receipts(of: room) }, is: [])
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(1, 9)), receipt("größe/x", at(1, 2), at(1, 2))]) }
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(1, 4), at(1, 3))]) }
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(1, 10))]) }
            let stored = Set(try await store.call { $0.receipts(of: room) })
            #expect(stored == [receipt("alice", at(1, 10), at(1, 3)), receipt("größe/x", at(1, 2), at(1, 2))])
            expect(try await store.call { $0.receipts(of: "other") }, is: [])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func epochComesBeforeSeq(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(2, 3))]) }
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(1, 100))]) }
            expect(try await store.call { $0.receipts(of: room, user: "alice") }, is: ReceiptPositions(delivered: at(2, 3)))
            // Not as text, which would put 10 before 9.
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(10, 9))]) }
            try await store.call { $0.mergeReceipts(of: room, [receipt("alice", at(10, 10)), receipt("alice", at(9, 11))]) }
            expect(try await store.call { $0.receipts(of: room, user: "alice") }, is: ReceiptPositions(delivered: at(10, 10)))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func userReadsBothOfHersAndNobodyElses(_ kind: StoreKind) async throws {
        try await withStore(kind) { _, store in
            expect(try await store.call { $0.receipts(of: room, user: "alice") }, is: .none)
            try await store.call {
                $0.mergeReceipts(
                    of: room, [receipt("alice", at(1, 5)), receipt("alice", at(1, 4), at(1, 4), hidden: true), receipt("bob", at(1, 8))])
            }
            expect(
                try await store.call { $0.receipts(of: room, user: "alice") }, is: ReceiptPositions(delivered: at(1, 5), read: at(1, 4)))
            let stored = Set(try await store.call { $0.receipts(of: room) })
            #expect(stored.contains(receipt("alice", at(1, 4), at(1, 4), hidden: true)) && stored.count == 3)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func manyReceiptsFitAndSurviveARestart(_ kind: StoreKind) async throws {
        try await withStore(kind) { harness, store in
            let many = (1...20_000).map { receipt("user-\($0)", at(1, UInt64($0))) }
            try await store.call { $0.mergeReceipts(of: room, many) }
            try harness.restart()
            expect(Set(try await store.call { $0.receipts(of: room) }), is: Set(many))
            try await store.call { $0.mergeReceipts(of: room, []) }
        }
    }
}
