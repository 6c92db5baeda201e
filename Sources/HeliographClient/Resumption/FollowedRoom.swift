import MeshCore
import SwiftProtobuf
import Wire

/// A subscribed room and how far it has been pushed.
struct FollowedRoom: Sendable {
    /// What is waited for until the relay feeds the room.
    enum Wait: Hashable, Sendable {
        /// The relay's word, which its welcome has promised.
        case pending
        /// The answer to a subscription of ours.
        case asked
        /// The time to ask.
        case postponed(until: Instant)
    }

    /// What the relay has agreed to. Its `from` is kept while `position` is nil.
    private(set) var ask: RelaySubscribe
    /// Of the last message pushed, or where the subscription began. Nil while the last n messages were asked for and none has come.
    private(set) var position: Position?
    /// Of the last message that the application has handled.
    private(set) var handled: Position?
    /// The relay could not go on from our position: what it says next holds, even if it is below.
    private var mayGoBack = false
    /// Nil once the relay feeds the room, and while there is no connection: the next hello asks for it.
    private(set) var wait: Wait?
    private var retryWait = RetryWait()

    init(_ room: ResumeState.Room) {
        ask = .with { ($0.room, $0.presence, $0.typing, $0.receipts) = (room.room, room.presence, room.typing, room.receipts) }
        position = room.position
        handled = room.position
    }

    init(_ ask: RelaySubscribe, _ subscribed: RelaySubscribed) {
        self.ask = ask
        begin(subscribed)
    }

    /// The application's own subscription was agreed to again: with `from` it begins anew, otherwise only what is pushed changes.
    mutating func agreed(to newer: RelaySubscribe, _ subscribed: RelaySubscribed) {
        if newer.hasFrom {
            self = FollowedRoom(newer, subscribed)
        } else {
            ask.presence = newer.presence
            ask.typing = newer.typing
            ask.receipts = newer.receipts
            // It went out with our position. A subscription of ours that is under way came before it and is answered by itself.
            if case .postponed = wait { resumed(subscribed) }
        }
    }

    private mutating func begin(_ subscribed: RelaySubscribed) {
        switch ask.from.start {
        case .position(let from)?:
            position = Position(from)
            mayGoBack = !subscribed.recovered
        case .last? where subscribed.replayed > 0: return
        case .last?, nil: position = Position(subscribed.head)
        }
        ask.clearFrom()
        handled = position
    }

    /// The relay goes on with what was subscribed before. `isWhole`: from our position; otherwise a gap follows.
    mutating func resumed(_ subscribed: RelaySubscribed) {
        settle()
        if position == nil { begin(subscribed) } else { mayGoBack = !subscribed.recovered }
    }

    mutating func resumed(isWhole: Bool) {
        settle()
        mayGoBack = !isWhole
    }

    private mutating func settle() {
        wait = nil
        retryWait.reset()
    }

    /// False for what was pushed before.
    mutating func advance(to next: Position) -> Bool {
        if let position, !mayGoBack, next <= position { return false }
        position = next
        mayGoBack = false
        ask.clearFrom()
        return true
    }

    /// What the relay says behind a gap holds as it did before: only a message shows where it is.
    mutating func pass(_ gapEnd: Position) {
        if let position, !mayGoBack, gapEnd <= position { return }
        position = gapEnd
        ask.clearFrom()
    }

    mutating func handled(_ position: Position) { handled = position }

    // MARK: Waiting

    /// The relay has said in its welcome that it will tell of the room.
    mutating func expect() { wait = .pending }

    /// Asks as soon as there is room for a request.
    mutating func enqueue(now: Instant) { wait = .postponed(until: now) }

    /// - Parameter least: the wait that the relay asks for.
    mutating func postpone(notBefore least: TimeSpan, now: Instant, using random: inout some RandomNumberGenerator) {
        wait = .postponed(until: now + retryWait.next(notBefore: least, using: &random))
    }

    /// We gave up to wait for the answer, but the relay may go on: then what it says next holds.
    mutating func lostTheAnswer() { if position != nil { mayGoBack = true } }

    mutating func connectionLost() { wait = nil }

    /// What to ask for, if the time for it has come.
    mutating func asked(at now: Instant) -> RelaySubscribe? {
        guard case .postponed(let until) = wait, until <= now else { return nil }
        wait = .asked
        return subscribe
    }

    // MARK: What a relay is told

    /// Nil while there is no position to go on from.
    var resume: RelayResume? {
        position.map { position in
            .with {
                ($0.room, $0.position) = (ask.room, RelayPosition(position))
                ($0.presence, $0.typing, $0.receipts) = (ask.presence, ask.typing, ask.receipts)
            }
        }
    }

    /// The same as a request of its own.
    var subscribe: RelaySubscribe {
        guard let position else { return ask }
        var again = ask
        again.from.position = RelayPosition(position)
        return again
    }

    /// Nil while nothing of it was handled that could be gone on from.
    var state: ResumeState.Room? {
        handled.map { ResumeState.Room(room: ask.room, position: $0, presence: ask.presence, typing: ask.typing, receipts: ask.receipts) }
    }
}

extension Position {
    init(_ position: RelayPosition) { self.init(epoch: position.epoch, seq: position.seq) }
}
