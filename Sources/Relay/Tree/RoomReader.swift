import MeshConfiguration
import MeshCore
import NIOCore
import Rooms
import Wire

/// Reads earlier messages of a room at one level of its tree: from what the level keeps, else from above. Readers who want nearly the same
/// share one request.
final class RoomReader {
    typealias Answer = Result<ReplayPage<RoomMessage>, Refusal>
    typealias Completion = (Answer) -> Void

    private unowned let cell: Cell
    /// Asks the level above, or at a root the log. Answers once.
    private let askAbove: (_ start: ReplayStart, _ hops: Int, @escaping Completion) -> Void
    private var shelf: ReplayShelf<RoomMessage>
    private var pushes = EncodedPushes()
    private struct Reader {
        var start: ReplayStart
        var hops: Int
        var completion: Completion
    }
    private var waiting: [ReplayStart: [Reader]] = [:]

    init(cell: Cell, askAbove: @escaping (_ start: ReplayStart, _ hops: Int, @escaping Completion) -> Void) {
        self.cell = cell
        self.askAbove = askAbove
        let limits = cell.context.limits
        shelf = ReplayShelf(tail: Tail(messagesMax: limits.tailMessagesMax, bytesMax: limits.tailBytesMax))
    }

    /// Nothing is kept that has to be forgotten at some time, and nobody waits.
    var isSettled: Bool { shelf.isEmpty && waiting.isEmpty && pushes.isEmpty }

    // MARK: What passes

    /// The level stands at `head`; what follows will pass here.
    func begin(at head: Position) { resize { $0.tail.begin(at: head) } }

    func passed(_ delivery: Delivery) {
        let now = Clock.now()
        resize { shelf in
            if let gap = delivery.gap { shelf.tail.skip(to: gap.to) }
            for message in delivery.messages {
                guard let position = message.position else { continue }
                // Tails share a budget: at its end they only remember where they are.
                if cell.tailBytes < cell.context.limits.tailBytesPerCellMax {
                    shelf.tail.append(position, message, bytes: message.body.readableBytes, now: now)
                } else {
                    shelf.tail.skip(to: position)
                }
            }
        }
    }

    /// Nothing passes here any more, or nothing of it may be told again. Before the reader is let go of, so that the budget is given back.
    func forget() {
        resize { $0.forget() }
    }

    private func resize(_ change: (inout ReplayShelf<RoomMessage>) -> Void) {
        let before = shelf.tail.bytes + shelf.pageBytes
        change(&shelf)
        cell.tailBytes += shelf.tail.bytes + shelf.pageBytes - before
    }

    // MARK: Reading

    /// Completes at once if the level has it.
    ///
    /// - Parameter hops: between nodes on the way here.
    func read(_ start: ReplayStart, hops: Int = 0, _ completion: @escaping Completion) {
        if let page = shelf.page(start) { return completion(.success(page)) }
        let (flight, isNew) = shelf.fly(start)
        waiting[flight, default: []].append(Reader(start: start, hops: hops, completion: completion))
        guard isNew else { return }
        cell.figures.replayAsks += 1
        askAbove(flight, hops) { [weak self] in self?.landed(flight, $0) }
    }

    private func landed(_ flight: ReplayStart, _ answer: Answer) {
        let readers = waiting.removeValue(forKey: flight) ?? []
        let page = try? answer.get()
        var isToBeTold = true
        resize { isToBeTold = $0.landed(flight, page, bytes: room(for: page), now: Clock.now()) }
        cell.keepsPages(self)
        for reader in readers {
            // Whoever waited for somebody else's page and is not in it asks for her own. What cannot be had is not to be had for the others
            // either.
            if page == nil || (isToBeTold && reader.start == flight) {
                reader.completion(answer)
            } else {
                read(reader.start, hops: reader.hops, reader.completion)
            }
        }
    }

    /// Nil if pages are not to be kept for want of room.
    private func room(for page: ReplayPage<RoomMessage>?) -> Int? {
        guard let page, cell.tailBytes < cell.context.limits.tailBytesPerCellMax else { return nil }
        return page.messages.reduce(0) { $0 + $1.1.body.readableBytes }
    }

    /// Appends a message as a push of its own, in any encoding. After an outage the same ones are sent to many: JSON is made once.
    func appendPush(_ position: Position, _ message: RoomMessage, encoding: FrameEncoding, to buffer: inout ByteBuffer) {
        guard encoding == .json else { return MessageBody.appendPush(message.body, encoding: encoding, to: &buffer) }
        if pushes.isEmpty { cell.keepsPages(self) }
        if !pushes.appendJSON(position, message.body, to: &buffer) { cell.drops.count(.malformedFrame) }
    }

    /// Now and then: what is kept for those who miss it for a moment only.
    func expireTail(now: Instant) {
        guard now > .zero + Self.tailKept else { return }
        resize { $0.tail.expire(before: Instant(nanoseconds: now.nanoseconds - UInt64(Self.tailKept.nanoseconds))) }
    }

    private static let tailKept = TimeSpan.seconds(60)

    func expire(now: Instant) {
        resize { $0.expire(now: now) }
        pushes.removeAll()
    }
}

extension RootResponse.Answer {
    var replay: RoomReader.Answer {
        switch self {
        case .replayed(let page): .success(page)
        case .refused(let refusal): .failure(refusal)
        case .published, .history, .members, .description, .data, .unread, .done:
            .failure(Refusal(.unavailable, "the level above answered something else"))
        }
    }

    init(_ answer: RoomReader.Answer) {
        switch answer {
        case .success(let page): self = .replayed(page)
        case .failure(let refusal): self = .refused(refusal)
        }
    }
}
