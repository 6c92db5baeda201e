import MeshCore
import Rooms
import SwiftProtobuf
import Wire

/// Turns what is asked of a level about earlier messages, and its answer, into mesh messages and back.
enum ReplayCodec {
    static func ask(_ start: ReplayStart) -> MeshReplayAsk {
        .with {
            switch start {
            case .after(let position): $0.after = TreeCodec.place(position)
            case .last(let count): $0.last = UInt64(max(0, count))
            }
        }
    }

    static func start(_ ask: MeshReplayAsk) -> ReplayStart? {
        switch ask.start {
        case .after(let place): .after(TreeCodec.position(place))
        case .last(let count): .last(Int(clamping: count))
        case nil: nil
        }
    }

    static func answer(_ page: ReplayPage<RoomMessage>) -> MeshReplayAnswer {
        .with {
            $0.items = page.items.map(item)
            $0.recovered = page.recovered
            $0.reached = TreeCodec.place(page.reached)
            $0.head = TreeCodec.place(page.head)
        }
    }

    static func page(_ answer: MeshReplayAnswer) -> ReplayPage<RoomMessage> {
        ReplayPage(
            items: answer.items.compactMap(item), recovered: answer.recovered, reached: TreeCodec.position(answer.reached),
            head: TreeCodec.position(answer.head))
    }

    private static func item(_ item: ReplayPage<RoomMessage>.Item) -> MeshReplayItem {
        .with {
            switch item {
            case .message(_, let message): $0.message = TreeCodec.delivered(message)
            case .gap(let from, let to): $0.gap = TreeCodec.lost(from, to)
            }
        }
    }

    private static func item(_ item: MeshReplayItem) -> ReplayPage<RoomMessage>.Item? {
        switch item.item {
        case .message(let delivered):
            let message = TreeCodec.roomMessage(delivered)
            return message.position.map { .message($0, message) }
        case .gap(let gap): return .gap(from: TreeCodec.position(gap.from), to: TreeCodec.position(gap.to))
        case nil: return nil
        }
    }
}
