import MeshCore
import SwiftProtobuf
import Testing
import Wire

@testable import HeliographClient

@Suite(.timeLimit(.minutes(1))) struct ReceiptTests {
    @Test(arguments: everyTransport) func confirmsAndAsksWhatIsUnread(transport: ClientTransport) async throws {
        let receipts = Seen<RelaySendReceipt>()
        let relay = try await FakeRelay.start(transport) { frame, peer in
            if welcome(frame, peer) { return }
            if case .receipt(let receipt) = frame.frame {
                receipts.add(receipt)
                peer.send(.with { $0.receipt = .with { ($0.room, $0.user, $0.kind) = (receipt.room, "bob", receipt.kind) } })
                peer.reply(frame.id) { $0.done = .init() }
            }
            if case .unread(let unread) = frame.frame {
                peer.reply(frame.id) { $0.unread.rooms = unread.rooms.map { room in .with { ($0.room, $0.count) = (room, 3) } } }
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions(transport))
        try await client.receipt(room: "r", position: Position(epoch: 2, seq: 7), kind: .read)
        #expect(receipts.all.map(\.kind) == [.read] && receipts.all.first?.position == RelayPosition(Position(epoch: 2, seq: 7)))
        let rooms = try await client.unread(rooms: ["r", "s"])
        #expect(rooms.map(\.room) == ["r", "s"] && rooms.allSatisfy { $0.count == 3 })
        let pushes = try await collect(client) { if case .receipt = $0 { true } else { false } }
        guard case .receipt(let receipt)? = pushes.last else { return #expect(Bool(false), "no receipt") }
        #expect(receipt.user == "bob" && receipt.kind == .read)
        await client.close()
        await relay.stop()
    }
}
