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
    /// The least wait before a room that is not to be had just now is asked for again.
    private static let retryLeast = TimeSpan.milliseconds(500)
    private static let retryMost = TimeSpan.seconds(60)

    /// What is left to do after a welcome.
    struct Welcomed: Sendable {
        /// Rooms that the hello could not hold.
        var subscribes: [RelaySubscribe] = []
        /// Rooms that are lost to us, with the relay's reason.
        var refused: [(room: String, error: RelayError)] = []
    }

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

    mutating func welcomed(
        _ welcome: RelayWelcome, now: Instant, using random: inout some RandomNumberGenerator
    ) -> Welcomed {
        session = welcome.session
        device = welcome.device
        saysNothing = false
        var left = Welcomed()
        var answered: Set<String> = []
        for resumed in welcome.resumed where rooms[resumed.room] != nil {
            answered.insert(resumed.room)
            if resumed.hasError {
                if !postpone(resumed.room, resumed.error, now: now, using: &random) { left.refused.append((resumed.room, resumed.error)) }
            } else if !resumed.pending {
                rooms[resumed.room]?.resumed(isWhole: resumed.recovered)
            }
        }
        left.subscribes = order.filter { !answered.contains($0) }.compactMap { rooms[$0]?.subscribe }
        return left
    }

    /// A room was refused after a reconnect. True if it is asked for again later; otherwise it is forgotten.
    mutating func postpone(
        _ room: String, _ error: RelayError, now: Instant, using random: inout some RandomNumberGenerator
    ) -> Bool {
        guard HeliographClientError.refused(error).isRetryable else {
            forget(room)
            return false
        }
        let least = min(max(Self.retryLeast, .milliseconds(Int(error.retryAfterMs))), Self.retryMost)
        rooms[room]?.retryAt = now + least + TimeSpan(nanoseconds: Int64.random(in: 0..<least.nanoseconds / 2, using: &random))
        return true
    }

    /// Rooms whose wait is over, to be asked for now.
    mutating func due(at now: Instant) -> [RelaySubscribe] {
        var due: [RelaySubscribe] = []
        for room in order {
            guard let at = rooms[room]?.retryAt, at <= now, let subscribe = rooms[room]?.subscribe else { continue }
            rooms[room]?.retryAt = nil
            due.append(subscribe)
        }
        return due
    }

    /// The next hello asks for everything.
    mutating func connectionLost() {
        for room in order { rooms[room]?.retryAt = nil }
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
    mutating func noted(_ gap: RelayGap) { _ = rooms[gap.room]?.advance(to: Position(gap.to)) }

    // MARK: What the application has done

    mutating func handled(_ push: ClientPush) {
        switch push {
        case .message(let message) where message.hasPosition: rooms[message.room]?.handled(Position(message.position))
        case .gap(let gap): rooms[gap.room]?.handled(Position(gap.to))
        default: break
        }
    }
}
