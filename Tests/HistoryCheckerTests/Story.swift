import HistoryChecker
import MeshCore

/// Short words for hand-written histories of one room.
struct Story {
    static let room = "lobby"
    var history = History()

    static func at(_ seq: UInt64, epoch: UInt64 = 1) -> Position { Position(epoch: epoch, seq: seq) }

    static func message(_ seq: UInt64, epoch: UInt64 = 1, from: String = "alice", key: String? = nil) -> SeenMessage {
        let key = key ?? "k\(seq)"
        return SeenMessage(at(seq, epoch: epoch), from: from, key: key, text: "text of \(key)", at: WallMilliseconds(1_000 * epoch + seq))
    }

    /// These were sent one after the other and each was acknowledged. The log holds all of them, or the last `kept`.
    init(_ messages: [SeenMessage], kept: Int? = nil) {
        for message in messages {
            send(message.key, from: message.from, text: message.text)
            acknowledge(message.key, message.position, from: message.from)
        }
        history.logs[Self.room] = History.RoomLog(Array(messages.suffix(kept ?? messages.count)), isTrimmed: kept != nil)
    }

    /// Messages 1 to `count` of alice.
    init(_ count: UInt64) { self.init((1...count).map { Self.message($0) }) }

    mutating func send(_ key: String, from client: String = "alice", text: String? = nil) {
        history.record(.published(client: client, room: Self.room, key: key, text: text ?? "text of \(key)"))
    }

    mutating func acknowledge(_ key: String, _ position: Position, from client: String = "alice", duplicate: Bool = false) {
        history.record(.acknowledged(client: client, room: Self.room, key: key, position: position, duplicate: duplicate))
    }

    mutating func refuse(_ key: String, from client: String = "alice") {
        history.record(.refused(client: client, room: Self.room, key: key, code: "UNAVAILABLE"))
    }

    mutating func subscribe(_ start: Subscription.Start, recovered: Bool = true, head: UInt64, epoch: UInt64 = 1, _ client: String = "bob")
    {
        let subscription = Subscription(start, recovered: recovered, head: Self.at(head, epoch: epoch))
        history.record(.subscribed(client: client, room: Self.room, subscription))
    }

    mutating func see(_ seqs: some Sequence<UInt64>, epoch: UInt64 = 1, _ client: String = "bob") {
        for seq in seqs { see(Self.message(seq, epoch: epoch), client) }
    }

    mutating func see(_ message: SeenMessage, _ client: String = "bob") {
        history.record(.saw(client: client, room: Self.room, message))
    }

    mutating func gap(_ from: Position, _ to: Position, _ client: String = "bob") {
        history.record(.gap(client: client, room: Self.room, from: from, to: to))
    }

    /// The rules that are broken.
    func broken(mayLose: Bool = false) -> Set<Violation.Rule> {
        var demands = Demands()
        (demands.acknowledgedMin, demands.seenMin) = (0, 0)
        if mayLose { demands.roomsThatMayLose = [Self.room] }
        return Set(history.check(demands).map(\.rule))
    }
}
