import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Session
import SwiftProtobuf
import Transport
import Wire

/// Earlier messages: a session reads pages of them, from the nearest level that has them, until it has come to where its room stands on its
/// cell; from there on it is fed like everybody else. One way for all who come back and for those who fall behind.
extension ClientSession {
    private static let replayRetry = TimeSpan.milliseconds(500)

    func replay(_ room: String, from start: ReplayStart, _ opening: CatchUp.Opening) {
        lastCatchUp += 1
        catchUps[room] = CatchUp(number: lastCatchUp, start: start, opening: opening, begunAt: Clock.now())
        advance(room)
    }

    /// Messages of a room that the session is fed with come from its history from now on. Not where nobody knows how far the room has come.
    func fallBack(to leaf: LeafRoom) {
        guard let head = leaf.head else { return }
        leaf.removeRecipient(connection)
        subscriptions[leaf.name]?.isLive = false
        lastCatchUp += 1
        catchUps[leaf.name] = CatchUp(number: lastCatchUp, start: .after(head), cursor: head, begunAt: Clock.now())
    }

    /// Takes the next step in every room, as far as there is room for it.
    func advanceCatchUps() {
        tellKeptBack()
        for room in Array(catchUps.keys) { advance(room) }
    }

    private func advance(_ room: String) {
        guard !isEnded, let catchUp = catchUps[room], !catchUp.isReading, let leaf = cell.leaves[room] else { return }
        if let page = catchUp.held { return release(page, catchUp, leaf) }
        guard let head = leaf.head, Clock.now() >= catchUp.retryAt else { return giveUpIfLate(catchUp, room) }
        if catchUp.opening == nil, let cursor = catchUp.cursor, cursor >= head {
            // A cell that is behind what the client has seen elsewhere feeds it when it has come there: not with the same once more.
            return cursor == head ? finish(leaf) : ()
        }
        guard hasRoom(stage == .live) else { return }
        catchUps[room]?.isReading = true
        let number = catchUp.number
        // Most of those who come back have missed nothing: nobody has to be asked.
        if catchUp.next == .after(head) {
            return received(.success(ReplayPage(items: [], recovered: true, reached: head, head: head)), leaf, number)
        }
        leaf.reader.read(catchUp.next) { [weak self] in self?.received($0, leaf, number) }
    }

    /// There is nothing left to read. Whoever was too slow takes in what waits before she is fed again.
    private func finish(_ leaf: LeafRoom) {
        guard hasRoom(ladder.isDrained(waiting: connection.waitingBytes)) else { return }
        catchUps[leaf.name] = nil
        feed(from: leaf)
    }

    /// If not, the connection says when there is.
    private func hasRoom(_ isThere: Bool) -> Bool {
        if !isThere { connection.wantsDrain = true }
        return isThere
    }

    private func received(_ answer: RoomReader.Answer, _ leaf: LeafRoom, _ number: UInt64) {
        let room = leaf.name
        guard !isEnded, let catchUp = catchUps[room], catchUp.number == number else { return }
        catchUps[room]?.isReading = false
        switch answer {
        case .failure(let refusal): refused(refusal, catchUp, room)
        case .success(let page):
            switch catchUp.opening {
            case nil: take(page, leaf)
            case .reply(let id)?: introduce(page, leaf) { $0.reply(id, .subscribed($1)) }
            case .push?: introduce(page, leaf) { session, subscribed in session.push(.with { $0.subscribed = subscribed }) }
            case .welcome?: hold(page, leaf)
            }
        }
    }

    /// What cannot be had now is asked for again: it is not lost.
    private func refused(_ refusal: Refusal, _ catchUp: CatchUp, _ room: String) {
        catchUps[room]?.retryAt = Clock.now() + Self.replayRetry
        giveUpIfLate(catchUp, room, RequestFault(refusal))
    }

    /// A request is answered in time, whatever the answer is.
    private func giveUpIfLate(
        _ catchUp: CatchUp, _ room: String, _ fault: RequestFault = .unavailable("the room's log cannot be read now")
    ) {
        guard case .reply(let id) = catchUp.opening, Clock.now() - catchUp.begunAt >= cell.context.timings.requestDeadline else { return }
        catchUps[room] = nil
        leave(room)
        fail(id, fault)
    }

    // MARK: What the client is told first

    /// Until the welcome is sent. What is too much to keep is read again behind it.
    private func hold(_ page: ReplayPage<RoomMessage>, _ leaf: LeafRoom) {
        let bytes = page.messages.reduce(0) { $0 + $1.1.body.readableBytes }
        if resumption?.hold(bytes) == true { catchUps[leaf.name]?.held = page }
        // Not read before the welcome.
        catchUps[leaf.name]?.isReading = true
        resumption?.settle(leaf.name, recovered: page.recovered, head: max(leaf.head ?? .zero, page.head))
        settleResumption()
    }

    /// The welcome is sent: what was held for it follows. It has no place for members, typing and receipts: who asked for any of them is
    /// told as if she had subscribed, and so is who was told that the room is pending.
    func welcomed(_ told: Set<String>) {
        for (room, catchUp) in catchUps {
            guard case .welcome? = catchUp.opening else { continue }
            let saysAll = told.contains(room) && subscriptions[room]?.interest == [.messages]
            catchUps[room]?.opening = saysAll ? nil : .push
            if told.contains(room) { catchUps[room]?.isReading = false }
        }
        advanceCatchUps()
    }

    private func release(_ page: ReplayPage<RoomMessage>, _ catchUp: CatchUp, _ leaf: LeafRoom) {
        guard resumption == nil, hasRoom(stage == .live) else { return }
        catchUps[leaf.name]?.held = nil
        received(.success(page), leaf, catchUp.number)
    }

    /// Tells the state of the room, and what follows.
    private func introduce(_ page: ReplayPage<RoomMessage>, _ leaf: LeafRoom, _ say: @escaping (ClientSession, RelaySubscribed) -> Void) {
        guard let number = catchUps[leaf.name]?.number, let interest = subscriptions[leaf.name]?.interest else { return }
        catchUps[leaf.name]?.isReading = true
        whenReceiptsKnown(leaf, interest) { [weak self] receipts in
            guard let self, !isEnded, catchUps[leaf.name]?.number == number else { return }
            catchUps[leaf.name]?.isReading = false
            catchUps[leaf.name]?.opening = nil
            listen(to: leaf)
            say(self, opened(page, leaf, receipts))
            take(page, leaf)
        }
    }

    private func opened(_ page: ReplayPage<RoomMessage>, _ leaf: LeafRoom, _ receipts: [RelayReceiptState]) -> RelaySubscribed {
        var subscribed = state(of: leaf, subscriptions[leaf.name]?.interest ?? [])
        subscribed.receipts = receipts
        subscribed.recovered = page.recovered
        let head = max(leaf.head ?? .zero, page.head)
        subscribed.head = RelayPosition(head)
        subscribed.replayed = UInt32(clamping: replayed(page, upTo: head))
        return subscribed
    }

    /// How many messages will be replayed: seq goes on without holes, but for gaps that are told.
    private func replayed(_ page: ReplayPage<RoomMessage>, upTo head: Position) -> UInt64 {
        let here = UInt64(page.messages.count { $0.0 <= head })
        return head > page.reached && head.seq > page.reached.seq ? here + (head.seq - page.reached.seq) : here
    }

    /// Sends what of a page this cell has come to, as far as there is room; what is newer comes to all of its sessions.
    private func take(_ page: ReplayPage<RoomMessage>, _ leaf: LeafRoom) {
        let head = leaf.head ?? .zero
        var cursor = catchUps[leaf.name]?.cursor ?? place(before: page, catchUps[leaf.name]?.start, head: head)
        var isWhole = true
        for item in page.items {
            switch item {
            case .gap(let from, let to): pushGap(leaf.name, from, to)
            case .message(let position, let message):
                guard position <= head, stage < .folding else {
                    isWhole = false
                    break
                }
                guard position > cursor else { continue }
                connection.append { leaf.reader.appendPush(position, message, encoding: connection.encoding, to: &$0) }
                cell.figures.replayed += 1
            }
            guard isWhole else { break }
            cursor = max(cursor, item.end)
        }
        // Nobody stands beyond what there is: whoever came with a position that never was goes on from the head.
        let reached = min(isWhole ? max(cursor, page.reached) : cursor, max(head, page.head))
        // A page that leads nowhere is not asked for again at once.
        if reached == catchUps[leaf.name]?.cursor { catchUps[leaf.name]?.retryAt = Clock.now() + Self.replayRetry }
        catchUps[leaf.name]?.cursor = reached
        clock.spoke(now: Clock.now())
        cell.queueFlush(connection)
        cell.queueCatchUp(self)
    }

    /// Where the reader is before her first page.
    private func place(before page: ReplayPage<RoomMessage>, _ start: ReplayStart?, head: Position) -> Position {
        if case .after(let position)? = start { return position }
        return page.items.first.map { min($0.end.predecessor, head) } ?? head
    }

    private func pushGap(_ room: String, _ from: Position, _ to: Position) {
        push(
            .with {
                $0.gap = .with {
                    $0.room = room
                    $0.from = .init(from)
                    $0.to = .init(to)
                }
            })
    }
}
