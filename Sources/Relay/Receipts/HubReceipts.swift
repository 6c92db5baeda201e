import MeshCore
import Rooms

/// A user has confirmed what somebody wrote into her inbox: on its way to the sender's sessions.
struct DirectReceipt: Hashable, Sendable {
    var user: String
    var positions: ReceiptPositions
}

/// What a user has not read of a room, as its root counts it.
struct RoomUnread: Hashable, Sendable {
    var count: UInt64
    var head: Position
    /// What the user herself has confirmed.
    var own: ReceiptPositions
}

/// The receipts of one room at a hub: what was said below goes up once a tick, what the root says goes down. What was said below is
/// remembered and repeated to a parent that is new or came back, so nothing is lost with a link or a root.
final class HubReceipts {
    private unowned let hub: HubRoom
    private var said = ReceiptTable()
    private var mirror = ReceiptMirror()
    /// Receipts in one frame.
    private static let frameMax = 2_000

    init(hub: HubRoom) { self.hub = hub }

    /// Nothing waits for a parent.
    var isIdle: Bool { !said.hasChanges }
    var all: [Receipt] { said.all }

    // MARK: Up

    func received(_ receipts: [Receipt]) {
        for var receipt in receipts {
            if let deleted = hub.deletion.upTo { receipt.positions = receipt.positions.beyond(deleted) }
            if case .moved(let forgotten) = said.merge(receipt), forgotten > 0 { hub.cell.drops.count(.receiptTableFull, forgotten) }
        }
        if said.hasChanges { hub.queue() }
    }

    /// At the end of a tick. Without a parent in reach it waits for `repeatAll`.
    func flush() {
        guard said.hasChanges else { return }
        if let root = hub.root { return root.receipts.merge(said.takeChanges()) }
        guard let parent = hub.parent, hub.cell.isLinked(to: parent) else { return }
        send(said.takeChanges(), to: parent)
    }

    /// The parent is another one, or may have missed something.
    func repeatAll(to parent: NodeID) {
        guard !said.isEmpty, hub.cell.isLinked(to: parent) else { return }
        _ = said.takeChanges()
        send(said.all, to: parent)
    }

    private func send(_ receipts: [Receipt], to parent: NodeID) {
        for start in stride(from: 0, to: receipts.count, by: Self.frameMax) {
            let part = Array(receipts[start..<min(start + Self.frameMax, receipts.count)])
            hub.cell.send(TreeCodec.frame(hub.name, .receipts(part)), to: parent)
        }
    }

    // MARK: Down

    func apply(_ update: ReceiptUpdate) {
        _ = mirror.apply(update) { _ in false }
        tell(update)
    }

    func tell(_ update: ReceiptUpdate) { hub.tellAll(.receipts) { .receipts(generation: $0, update) } }

    func tell(_ receipt: DirectReceipt) { hub.tellAll(.receipts) { .directReceipt(generation: $0, receipt) } }

    // MARK: Deletion

    func forget(_ user: String) {
        said.forget(user)
        mirror.forget(user)
    }

    /// Messages up to `position` were deleted before anything that is known here was confirmed, or unheard of it.
    func forget(upTo position: Position) { said.forget(upTo: position) }

    func forgetAll() {
        said.removeAll()
        mirror = ReceiptMirror()
    }

    /// For a child that joins.
    var whole: ReceiptUpdate { hub.root?.receipts.whole ?? mirror.whole }
}
