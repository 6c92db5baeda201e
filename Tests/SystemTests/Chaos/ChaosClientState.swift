import HeliographClient
import HistoryChecker
import MeshCore
import SwiftProtobuf
import Wire

/// What a client knows, and what it makes of each frame. Everything is logged under the lock that guards this, so the log has each
/// client's events in the order in which they came.
struct ChaosClientState: Sendable {
    struct Place: Sendable {
        /// The last position that was seen or announced as lost; nil before the first subscription.
        var cursor: Position?
        /// The relay has said where it begins, on the connection that stands.
        var isLive = false
        var asked: HistoryChecker.Subscription.Start?
        var waitsUntil: ContinuousClock.Instant?

        mutating func advance(to position: Position) { cursor = max(cursor ?? .zero, position) }

        /// Nothing comes any more, until it is asked for again.
        mutating func stop(until: ContinuousClock.Instant? = nil) { (isLive, asked, waitsUntil) = (false, nil, until) }
    }

    private enum Request: Sendable {
        case hello
        case subscribe(String)
        case publish(String, key: String)
    }

    private let user: String
    private let log: ChaosLog
    var random: SeededRandom
    var isCalm = false
    var isStopped = false
    /// Where it connects; nil for anywhere.
    var target: NodeID?
    var receiveBytes: Int?
    private(set) var places: [String: Place] = [:]
    private(set) var outboxes: [String: ChaosOutbox] = [:]
    private(set) var connection: TestClient?
    /// Taken over, and not closed yet.
    private var retired: [TestClient] = []
    private var newestGeneration: UInt64 = 0
    /// Of the connection that stands: what others still bring is ignored.
    private var generation: UInt64 = 0
    private var isWelcome = false
    private var session = ""
    private var requests: [UInt32: Request] = [:]
    private var nextID: UInt32 = 1
    private var nextNumber = 0
    private(set) var lastAcknowledged = Position.zero

    init(user: String, reads: [String], writes: [String], log: ChaosLog, random: SeededRandom) {
        (self.user, self.log, self.random) = (user, log, random)
        for room in reads { places[room] = Place() }
        for room in writes { outboxes[room] = ChaosOutbox() }
    }

    // MARK: Connections

    mutating func nextGeneration() -> UInt64 {
        newestGeneration += 1
        return newestGeneration
    }

    /// Leaves the connection that stood, if there is one, for a new one.
    ///
    /// - Returns: the hello for it: a takeover that resumes most rooms. The others are subscribed from their positions.
    mutating func begin(_ client: TestClient, _ generation: UInt64, token: String, node: String, isFresh: Bool) -> RelayClientFrame {
        if let connection { retired.append(connection) }
        detach()
        (connection, self.generation) = (client, generation)
        log.record(.connected(client: user, session: session, node: node))
        var hello = RelayHello()
        (hello.token, hello.device) = (token, "device-of-\(user)")
        if isFresh { startAnew() } else if !session.isEmpty { hello.session = session }
        for room in places.keys.sorted() {
            guard let cursor = places[room]?.cursor, Int.random(in: 0..<4, using: &random) > 0 else { continue }
            places[room]?.asked = .position(cursor)
            hello.resume.append(.with { ($0.room, $0.position) = (room, RelayPosition(cursor)) })
        }
        return frame(.hello(hello), .hello)
    }

    private mutating func startAnew() {
        session = ""
        for room in places.keys where places[room]?.cursor != nil {
            places[room]?.cursor = nil
            log.record(.left(client: user, room: room))
        }
    }

    /// - Parameter isClean: the session has ended with it.
    mutating func end(_ client: TestClient, _ reason: String, isClean: Bool) {
        guard client === connection else { return }
        log.record(.disconnected(client: user, reason: reason))
        connection = nil
        if isClean { session = "" }
        detach()
    }

    private mutating func detach() {
        (generation, isWelcome) = (0, false)
        requests = [:]
        for (room, place) in places where place.isLive && place.cursor == nil {
            // Nothing came of the last messages that were asked for: there is no place to go on from.
            log.record(.left(client: user, room: room))
        }
        for room in places.keys { places[room]?.stop() }
        for room in outboxes.keys { outboxes[room]?.connectionLost() }
    }

    mutating func takeConnections() -> [TestClient] {
        defer { (connection, retired) = (nil, []) }
        return retired + (connection.map { [$0] } ?? [])
    }

    // MARK: What is sent

    /// A new message in one of its rooms.
    mutating func compose() {
        guard let room = outboxes.keys.sorted().randomElement(using: &random), outboxes[room]?.isFull == false else { return }
        nextNumber += 1
        outboxes[room]?.add("\(user)-\(nextNumber)", "message \(nextNumber) of \(user)")
    }

    mutating func takeFrames(now: ContinuousClock.Instant) -> [RelayClientFrame] {
        guard isWelcome else { return [] }
        return takeSubscribes(now) + takePublishes(now)
    }

    private mutating func takeSubscribes(_ now: ContinuousClock.Instant) -> [RelayClientFrame] {
        places.keys.sorted().compactMap { room in
            guard let place = places[room], place.asked == nil, place.waitsUntil.map({ now >= $0 }) ?? true else { return nil }
            let start = place.cursor.map { HistoryChecker.Subscription.Start.position($0) } ?? firstStart()
            places[room]?.asked = start
            var ask = RelaySubscribe()
            ask.room = room
            switch start {
            case .live: break
            case .position(let position): ask.from.position = RelayPosition(position)
            case .last(let count): ask.from.last = UInt32(count)
            }
            return frame(.subscribe(ask), .subscribe(room))
        }
    }

    private mutating func firstStart() -> HistoryChecker.Subscription.Start {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: .live
        case 1: .position(.zero)
        default: .last(Int.random(in: 1...50, using: &random))
        }
    }

    private mutating func takePublishes(_ now: ContinuousClock.Instant) -> [RelayClientFrame] {
        outboxes.keys.sorted().flatMap { room in
            (outboxes[room]?.takeSendable(now: now) ?? []).map { item in
                log.record(.published(client: user, room: room, key: item.key, text: item.text))
                return frame(.publish(.text(room, item.text, key: item.key)), .publish(room, key: item.key))
            }
        }
    }

    private mutating func frame(_ body: RelayClientFrame.OneOf_Frame, _ request: Request) -> RelayClientFrame {
        defer { nextID += 1 }
        requests[nextID] = request
        return .with { ($0.id, $0.frame) = (nextID, body) }
    }

    // MARK: What is heard

    mutating func hear(_ frames: [RelayServerFrame], generation: UInt64) {
        for frame in frames where generation == self.generation { hear(frame) }
    }

    private mutating func hear(_ frame: RelayServerFrame) {
        let request = frame.id == 0 ? nil : requests.removeValue(forKey: frame.id)
        switch frame.frame {
        case .welcome(let welcome): welcomed(welcome)
        case .subscribed(let subscribed):
            begins(subscribed.room, recovered: subscribed.recovered, head: Position(subscribed.head))
        case .message(let message): saw(message)
        case .gap(let gap):
            let (from, to) = (Position(gap.from), Position(gap.to))
            log.record(.gap(client: user, room: gap.room, from: from, to: to))
            advance(gap.room, to)
        case .published(let published): acknowledged(published, request)
        case .error(let error): refused(error, request)
        case .unsubscribed(let unsubscribed):
            log.complain("\(user) was unsubscribed from \(unsubscribed.room): \(unsubscribed.error.message)")
        case .goodbye(let goodbye) where goodbye.code >= 4500:
            log.complain("\(user) got goodbye \(goodbye.code) \(goodbye.reason)")
        default: break
        }
    }

    private mutating func welcomed(_ welcome: RelayWelcome) {
        (isWelcome, session) = (true, welcome.session)
        let answered = Set(welcome.resumed.map(\.room))
        for (room, place) in places where place.asked != nil && !answered.contains(room) {
            log.complain("\(user) asked to resume \(room), and the welcome says nothing of it")
            places[room]?.asked = nil
        }
        for resumed in welcome.resumed {
            if resumed.hasError {
                subscribeRefused(resumed.room, resumed.error)
            } else if !resumed.pending {
                begins(resumed.room, recovered: resumed.recovered, head: Position(resumed.head))
            }
        }
    }

    private mutating func begins(_ room: String, recovered: Bool, head: Position) {
        guard let start = places[room]?.asked, places[room]?.isLive == false else {
            return log.complain("\(user) was told that \(room) begins, and had not asked")
        }
        places[room]?.isLive = true
        log.record(.subscribed(client: user, room: room, .init(start, recovered: recovered, head: head)))
        switch start {
        case .live: places[room]?.cursor = head
        case .position(let position): places[room]?.cursor = position
        // Nothing came yet: what counts is what comes.
        case .last: places[room]?.cursor = head == .zero ? .zero : nil
        }
    }

    private mutating func saw(_ message: RelayMessage) {
        guard message.hasPosition else { return log.complain("\(message.key) in \(message.room) has no position") }
        log.record(.saw(client: user, room: message.room, SeenMessage(message)))
        advance(message.room, Position(message.position))
    }

    private mutating func advance(_ room: String, _ position: Position) {
        places[room]?.advance(to: position)
    }

    private mutating func acknowledged(_ published: RelayPublished, _ request: Request?) {
        guard case .publish(let room, let key) = request, published.room == room, published.key == key else {
            return log.complain("\(user) got an acknowledgement of \(published.key) that is no answer")
        }
        let position = Position(published.position)
        log.record(.acknowledged(client: user, room: room, key: key, position: position, duplicate: published.duplicate))
        outboxes[room]?.acknowledged(key)
        lastAcknowledged = position
    }

    private static let retryable: Set<RelayErrorCode> = [.unavailable, .resourceExhausted, .deadlineExceeded]

    private mutating func refused(_ error: RelayError, _ request: Request?) {
        if !Self.retryable.contains(error.code) {
            log.complain("\(user) got \(error.code) \(error.message) to \(request.map { "\($0)" } ?? "nothing")")
        }
        switch request {
        case .publish(let room, let key):
            log.record(.refused(client: user, room: room, key: key, code: "\(error.code)"))
            outboxes[room]?.refused(key, until: Self.retryTime(error))
        case .subscribe(let room): subscribeRefused(room, error)
        case .hello: session = ""
        case nil: break
        }
    }

    private mutating func subscribeRefused(_ room: String, _ error: RelayError) {
        if !Self.retryable.contains(error.code) { log.complain("\(user) cannot read \(room): \(error.code) \(error.message)") }
        places[room]?.stop(until: Self.retryTime(error))
    }

    private static func retryTime(_ error: RelayError) -> ContinuousClock.Instant { .now + .milliseconds(max(50, Int(error.retryAfterMs))) }
}

extension Position {
    init(_ position: RelayPosition) { self.init(epoch: position.epoch, seq: position.seq) }
}

extension SeenMessage {
    init(_ message: RelayMessage) {
        self.init(Position(message.position), from: message.from, key: message.key, text: message.text, at: message.at)
    }
}
