import MeshCore
import Rooms
import SwiftProtobuf
import Wire

/// Receipts as mesh frames, and back.
enum ReceiptCodec {
    static func said(_ receipts: [Receipt]) -> MeshReceiptsSaid { .with { $0.receipts = receipts.map(entry) } }

    static func receipts(_ said: MeshReceiptsSaid) -> [Receipt] { said.receipts.map(receipt) }

    static func changed(_ update: ReceiptUpdate, generation: UInt64 = 0) -> MeshReceiptsChanged {
        .with {
            $0.generation = generation
            $0.whole = update.isWhole
            $0.summarized = update.isSummarized
            $0.receipts = update.receipts.map(entry)
            if let summary = update.summary { $0.summary = self.summary(summary) }
        }
    }

    static func update(_ changed: MeshReceiptsChanged) -> ReceiptUpdate {
        ReceiptUpdate(
            isWhole: changed.whole, isSummarized: changed.summarized, receipts: changed.receipts.map(receipt),
            summary: changed.hasSummary ? summary(changed.summary) : nil)
    }

    static func direct(_ receipt: DirectReceipt, generation: UInt64 = 0) -> MeshDirectReceipt {
        .with {
            $0.generation = generation
            $0.user = receipt.user
            $0.delivered = TreeCodec.place(receipt.positions.delivered)
            $0.read = TreeCodec.place(receipt.positions.read)
        }
    }

    static func direct(_ receipt: MeshDirectReceipt) -> DirectReceipt {
        DirectReceipt(user: receipt.user, positions: positions(receipt.delivered, receipt.read))
    }

    static func unread(_ unread: RoomUnread) -> MeshUnreadAnswer {
        .with {
            $0.count = unread.count
            $0.head = TreeCodec.place(unread.head)
            $0.delivered = TreeCodec.place(unread.own.delivered)
            $0.read = TreeCodec.place(unread.own.read)
        }
    }

    static func unread(_ answer: MeshUnreadAnswer) -> RoomUnread {
        RoomUnread(count: answer.count, head: TreeCodec.position(answer.head), own: positions(answer.delivered, answer.read))
    }

    // MARK: Parts

    private static func entry(_ receipt: Receipt) -> MeshReceiptEntry {
        .with {
            $0.user = receipt.owner.user
            $0.hidden = receipt.owner.isHidden
            $0.delivered = TreeCodec.place(receipt.positions.delivered)
            $0.read = TreeCodec.place(receipt.positions.read)
        }
    }

    private static func receipt(_ entry: MeshReceiptEntry) -> Receipt {
        Receipt(ReceiptOwner(user: entry.user, isHidden: entry.hidden), positions(entry.delivered, entry.read))
    }

    private static func positions(_ delivered: MeshPlace, _ read: MeshPlace) -> ReceiptPositions {
        ReceiptPositions(delivered: TreeCodec.position(delivered), read: TreeCodec.position(read))
    }

    private static func summary(_ summary: ReceiptSummary) -> MeshReceiptSummary {
        .with {
            $0.lowestDelivered = TreeCodec.place(summary.lowest.delivered)
            $0.lowestRead = TreeCodec.place(summary.lowest.read)
            $0.highestDelivered = TreeCodec.place(summary.highest.delivered)
            $0.highestRead = TreeCodec.place(summary.highest.read)
        }
    }

    private static func summary(_ summary: MeshReceiptSummary) -> ReceiptSummary {
        ReceiptSummary(
            lowest: positions(summary.lowestDelivered, summary.lowestRead),
            highest: positions(summary.highestDelivered, summary.highestRead))
    }
}
