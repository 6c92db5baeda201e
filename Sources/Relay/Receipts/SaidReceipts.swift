import MeshCore
import Rooms

/// What the sessions of a cell confirmed in this tick, by room. It goes to the hubs at the tick's end, each user's latest word once.
struct SaidReceipts {
    private var rooms: [String: ReceiptTable] = [:]

    mutating func say(_ receipt: Receipt, in room: String) { _ = rooms[room, default: ReceiptTable()].merge(receipt) }

    mutating func take() -> [(room: String, receipts: [Receipt])] {
        guard !rooms.isEmpty else { return [] }
        defer { rooms.removeAll(keepingCapacity: true) }
        return rooms.map { ($0.key, $0.value.all) }
    }
}
