import HistoryChecker
import MeshCore

/// A relay of a few lines that loses nothing, with clients that come and go at random.
struct PerfectRelay {
    private static let rooms = ["a", "b"]
    private static let readers = ["bob", "carol", "dave"]
    private static let writers = ["alice", "erin"]

    private struct Reader {
        var position = Position.zero
        var isConnected = false
        var hasRead = false
    }

    private var random: SeededRandom
    private var history = History()
    private var logs: [String: [SeenMessage]] = [:]
    private var feeds: [[String]: Reader] = [:]
    private var numbers: [String: Int] = [:]
    private var epoch: UInt64 = 1

    static func run(seed: UInt64) -> History {
        var relay = PerfectRelay(random: SeededRandom(seed: seed))
        for room in rooms { relay.publish("alice", room) }
        for _ in 0..<600 { relay.step() }
        relay.end()
        return relay.history
    }

    private init(random: SeededRandom) { self.random = random }

    private mutating func step() {
        let room = Self.rooms.randomElement(using: &random) ?? ""
        let reader = Self.readers.randomElement(using: &random) ?? ""
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<5: publish(Self.writers.randomElement(using: &random) ?? "", room)
        case 5..<17: deliver(reader, room)
        case 17: disconnect(reader, room)
        case 18: connect(reader, room)
        default: epoch += Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0
        }
    }

    private mutating func publish(_ writer: String, _ room: String) {
        let number = numbers[writer, default: 0]
        numbers[writer] = number + 1
        let key = "\(writer)-\(number)"
        let position = Position(epoch: epoch, seq: UInt64(logs[room, default: []].count + 1))
        let at = WallMilliseconds(1_000 + logs[room, default: []].count / 2)
        history.record(.published(client: writer, room: room, key: key, text: "number \(number)"))
        logs[room, default: []].append(SeenMessage(position, from: writer, key: key, text: "number \(number)", at: at))
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            history.record(.refused(client: writer, room: room, key: key, code: "UNAVAILABLE"))
            history.record(.published(client: writer, room: room, key: key, text: "number \(number)"))
            history.record(.acknowledged(client: writer, room: room, key: key, position: position, duplicate: true))
        default:
            history.record(.acknowledged(client: writer, room: room, key: key, position: position, duplicate: false))
        }
    }

    private mutating func connect(_ name: String, _ room: String) {
        var reader = feeds[[name, room]] ?? Reader()
        guard !reader.isConnected else { return }
        let head = logs[room]?.last?.position ?? .zero
        let start: Subscription.Start = reader.hasRead ? .position(reader.position) : .live
        if !reader.hasRead { reader.position = head }
        (reader.isConnected, reader.hasRead) = (true, true)
        history.record(.subscribed(client: name, room: room, Subscription(start, head: head)))
        feeds[[name, room]] = reader
    }

    private mutating func disconnect(_ name: String, _ room: String) { feeds[[name, room]]?.isConnected = false }

    /// The next message, if there is one.
    private mutating func deliver(_ name: String, _ room: String) {
        guard let reader = feeds[[name, room]], reader.isConnected else { return connect(name, room) }
        guard let next = logs[room]?.first(where: { $0.position > reader.position }) else { return }
        feeds[[name, room]]?.position = next.position
        history.record(.saw(client: name, room: room, next))
    }

    private mutating func end() {
        for (room, log) in logs {
            history.logs[room] = History.RoomLog(log)
            for reader in Self.readers {
                connect(reader, room)
                for _ in log { deliver(reader, room) }
            }
        }
    }
}
