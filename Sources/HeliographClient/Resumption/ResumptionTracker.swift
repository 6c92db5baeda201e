import MeshCore
import Wire

/// Keeps what a relay must be told so that nothing is lost and nothing comes twice when the session returns: its id, its device, and for
/// each room the position that was pushed last. A value: it decides, its owner sends.
struct ResumptionTracker: Sendable {
    /// What the protocol lets a hello resume; more rooms are subscribed one by one.
    static let roomsInHelloMax = 2_000
    /// Of the 1 MiB that a hello may have; the token takes some of the rest.
    static let helloBytesMax = 900 << 10
    /// The bytes of a resume entry beside the room's name, at most.
    private static let entryBytes = 160
    /// Subscriptions of ours that may be on the way at once: most of the client's requests are the application's.
    static let askedMax = 256

    /// A room that is lost to us, with the relay's reason.
    typealias RefusedRoom = (room: String, error: RelayError)

    private(set) var session: String?
    private(set) var device: String?
    /// Messages that came again and were dropped.
    private(set) var duplicates: UInt64 = 0
    private var rooms: [String: FollowedRoom] = [:]
    /// In the order of subscribing.
    private var order: [String] = []
    /// A relay refused what we resumed from: the next hello says nothing of it.
    private var saysNothing = false

    init(_ state: ResumeState? = nil) {
        session = state?.session
        device = state?.device
        for room in state?.rooms ?? [] where rooms.updateValue(FollowedRoom(room), forKey: room.room) == nil { order.append(room.room) }
    }

    var state: ResumeState {
        ResumeState(session: session, device: device, rooms: order.compactMap { rooms[$0]?.state })
    }

    // MARK: Coming back

    /// Adds what is resumed to a hello.
    func complete(_ hello: inout RelayHello) {
        if !hello.hasDevice, let device { hello.device = device }
        guard !saysNothing else { return }
        if let session { hello.session = session }
        var bytes = 0
        for resume in order.lazy.compactMap({ rooms[$0]?.resume }).prefix(Self.roomsInHelloMax) {
            // In JSON every byte of a name may need an escape.
            bytes += Self.entryBytes + 2 * resume.room.utf8.count
            guard bytes <= Self.helloBytesMax else { break }
            hello.resume.append(resume)
        }
    }

    /// A hello was refused. True if the reason may lie in what it resumed: then the next one begins a new session, and asks for each room
    /// by itself.
    mutating func refused(_ hello: RelayHello, _ code: RelayErrorCode) -> Bool {
        guard hello.hasSession || !hello.resume.isEmpty else { return false }
        guard [.invalidArgument, .notFound, .failedPrecondition, .unimplemented].contains(code) else { return false }
        session = nil
        saysNothing = true
        return true
    }

    /// What the welcome does not answer, `due` gives out.
    mutating func welcomed(_ welcome: RelayWelcome, now: Instant, using random: inout some RandomNumberGenerator) -> [RefusedRoom] {
        session = welcome.session
        device = welcome.device
        saysNothing = false
        var refused: [RefusedRoom] = []
        for room in order { rooms[room]?.enqueue(now: now) }
        for resumed in welcome.resumed where rooms[resumed.room] != nil {
            if resumed.hasError {
                if !postpone(resumed.room, resumed.error, now: now, using: &random) { refused.append((resumed.room, resumed.error)) }
            } else if resumed.pending {
                rooms[resumed.room]?.expect()
            } else {
                rooms[resumed.room]?.resumed(isWhole: resumed.recovered)
            }
        }
        return refused
    }

    /// A room was refused after a reconnect. True if it is asked for again later; otherwise it is forgotten.
    mutating func postpone(
        _ room: String, _ error: RelayError, now: Instant, using random: inout some RandomNumberGenerator
    ) -> Bool {
        guard HeliographClientError.refused(error).isRetryable else {
            forget(room)
            return false
        }
        rooms[room]?.postpone(notBefore: .milliseconds(Int(error.retryAfterMs)), now: now, using: &random)
        return true
    }

    /// A subscription of ours could not be sent, or nobody has answered it: it is repeated.
    mutating func unanswered(_ room: String, now: Instant, using random: inout some RandomNumberGenerator) {
        guard rooms[room]?.wait == .asked else { return }
        rooms[room]?.lostTheAnswer()
        rooms[room]?.postpone(notBefore: .zero, now: now, using: &random)
    }

    /// Rooms whose wait is over, to be asked for now: as many as may be on the way.
    ///
    /// - Parameter excluded: rooms about which the application asks itself: they wait for its answer.
    mutating func due(at now: Instant, except excluded: Set<String> = []) -> [RelaySubscribe] {
        var free = Self.askedMax - rooms.values.count { $0.wait == .asked }
        var due: [RelaySubscribe] = []
        for room in order where !excluded.contains(room) {
            guard free > 0 else { break }
            guard let subscribe = rooms[room]?.asked(at: now) else { continue }
            due.append(subscribe)
            free -= 1
        }
        return due
    }

    /// The next hello asks for everything.
    mutating func connectionLost() {
        for room in order { rooms[room]?.connectionLost() }
    }

    // MARK: What the application asks

    /// Where we are goes into the application's own subscription while the relay does not feed the room: without it the relay would begin
    /// at the room's head.
    func completed(_ ask: RelaySubscribe) -> RelaySubscribe {
        guard !ask.hasFrom, let room = rooms[ask.room], room.wait != nil, room.subscribe.hasFrom else { return ask }
        var completed = ask
        completed.from = room.subscribe.from
        return completed
    }

    /// The application's own subscription was refused. A relay gives up a pending room with it.
    mutating func refused(_ ask: RelaySubscribe, _ error: RelayError, now: Instant, using random: inout some RandomNumberGenerator) {
        guard rooms[ask.room]?.wait == .pending, HeliographClientError.refused(error).isRetryable else { return }
        _ = postpone(ask.room, error, now: now, using: &random)
    }

    // MARK: What the relay says

    /// To a request of the application.
    mutating func subscribed(_ ask: RelaySubscribe, _ answer: RelaySubscribed) {
        guard rooms[ask.room] == nil else {
            rooms[ask.room]?.agreed(to: ask, answer)
            return
        }
        rooms[ask.room] = FollowedRoom(ask, answer)
        order.append(ask.room)
    }

    /// To a request of ours, or unasked for a room that was pending.
    mutating func resumed(_ subscribed: RelaySubscribed) { rooms[subscribed.room]?.resumed(subscribed) }

    mutating func forget(_ room: String) {
        if rooms.removeValue(forKey: room) != nil { order.removeAll { $0 == room } }
    }

    /// Whether a message is new. What has no position is.
    mutating func accepts(_ message: RelayMessage) -> Bool {
        guard message.hasPosition else { return true }
        let isNew = rooms[message.room]?.advance(to: Position(message.position)) ?? true
        if !isNew { duplicates += 1 }
        return isNew
    }

    /// The session goes on behind a gap.
    mutating func noted(_ gap: RelayGap) { rooms[gap.room]?.pass(Position(gap.to)) }

    // MARK: What the application has done

    mutating func handled(_ push: ClientPush) {
        switch push {
        case .message(let message) where message.hasPosition: rooms[message.room]?.handled(Position(message.position))
        case .gap(let gap): rooms[gap.room]?.handled(Position(gap.to))
        default: break
        }
    }
}
