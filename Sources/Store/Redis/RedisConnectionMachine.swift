import DequeModule
import MeshCore

/// Decides for one connection to Redis: when to connect, whether the server is fit for work, what each reply answers, what is
/// too late, what is too much. It knows no sockets and no clock; `RedisConnection` obeys it. Tokens stand for whoever waits.
///
/// Invalid operations are of three kinds. Ours: a second `start` traps. The server's fault: a reply that nobody asked for, or a
/// refused preparation, is `.broken`. Allowed: events of an attempt that is over are dropped by its generation, and a closed
/// machine drops everything.
struct RedisConnectionMachine<Token> {
    struct Limits: Sendable {
        var deadline: TimeSpan
        var heartbeat: TimeSpan
        var commandsInFlightMax: Int
        var bytesInFlightMax: Int
        /// Waits between attempts.
        var retryLeast = TimeSpan.milliseconds(50)
        var retryMost = TimeSpan.seconds(1)
        /// A timer that comes later than this was held up by its own process.
        var lateness = TimeSpan.milliseconds(50)
    }

    /// What the preparation of a connection found out.
    struct Session: Hashable, Sendable {
        /// Redis's own name for this run of the server.
        var runID: String
        /// SHA1 of each script, in the order in which they were loaded.
        var scriptDigests: [String]
    }

    private enum Phase {
        /// → connecting, closed
        case idle
        /// → preparing, waiting, closed
        case connecting(deadline: Instant)
        /// INFO, one SCRIPT LOAD for each script, then a write. → ready, waiting, closed
        case preparing(Preparation)
        /// → waiting, closed
        case ready(Session)
        /// → connecting, closed
        case waiting(until: Instant)
        case closed
    }

    private struct Preparation {
        var deadline: Instant
        var runID: String?
        var scriptDigests: [String] = []
    }

    private struct InFlight {
        /// Nil for a heartbeat.
        var token: Token?
        var bytes: Int
        var sent: Instant
    }

    /// Which attempt the machine speaks of. Shells stamp their callbacks with it.
    private(set) var generation: UInt64 = 0
    private(set) var bytesInFlight = 0
    private var phase = Phase.idle
    /// Oldest first, as replies come; all have the same deadline, so the first expires first.
    private var inFlight: Deque<InFlight> = []
    private var lastReply = Instant.zero
    /// A deadline that was noticed late is looked at again then.
    private var secondLook: Instant?
    private var backoff: Backoff
    private let limits: Limits
    private let scripts: Int

    init(limits: Limits, scripts: Int) {
        self.limits = limits
        self.scripts = scripts
        backoff = Backoff(least: limits.retryLeast, most: limits.retryMost)
    }

    var session: Session? {
        if case .ready(let session) = phase { session } else { nil }
    }

    var commandsInFlight: Int { inFlight.count }

    /// When `timerFired` wants to be called next.
    var nextWake: Instant? { secondLook ?? due }

    private var due: Instant? {
        switch phase {
        case .idle, .closed: nil
        case .connecting(let deadline): deadline
        case .preparing(let preparation): preparation.deadline
        case .ready: inFlight.first.map { $0.sent + limits.deadline } ?? lastReply + limits.heartbeat
        case .waiting(let until): until
        }
    }
}

// MARK: - Making a connection

extension RedisConnectionMachine {
    /// Answers the generation of the first attempt; nil when the machine was closed before.
    mutating func start(now: Instant) -> UInt64? {
        switch phase {
        case .closed: return nil
        case .idle: return connect(now: now)
        case .connecting, .preparing, .ready, .waiting: preconditionFailure("started twice")
        }
    }

    private mutating func connect(now: Instant) -> UInt64 {
        generation += 1
        secondLook = nil
        phase = .connecting(deadline: now + limits.deadline)
        return generation
    }

    /// Whether the shell is to send the commands of the preparation; if not, the channel belongs to an attempt that is over.
    mutating func connected(generation: UInt64, now: Instant) -> Bool {
        guard generation == self.generation, case .connecting = phase else { return false }
        secondLook = nil
        phase = .preparing(Preparation(deadline: now + limits.deadline))
        return true
    }

    struct Lost {
        /// Whoever still waited for an answer, oldest first.
        var failed: [Token]
        var wasReady: Bool
    }

    /// The attempt or the connection ended, whichever side ended it. Nil for one that is over already.
    mutating func lost(generation: UInt64, now: Instant, using random: inout some RandomNumberGenerator) -> Lost? {
        guard generation == self.generation else { return nil }
        switch phase {
        case .idle, .waiting, .closed: return nil
        case .connecting, .preparing, .ready: break
        }
        let wasReady = session != nil
        secondLook = nil
        phase = .waiting(until: now + backoff.next(using: &random))
        return Lost(failed: takeInFlight(), wasReady: wasReady)
    }

    /// Answers whoever still waited. Nothing happens after this.
    mutating func close() -> [Token] {
        phase = .closed
        return takeInFlight()
    }

    private mutating func takeInFlight() -> [Token] {
        let tokens = inFlight.compactMap(\.token)
        inFlight.removeAll()
        bytesInFlight = 0
        return tokens
    }
}

// MARK: - Commands, replies, time

extension RedisConnectionMachine {
    enum Submitted: Hashable {
        case send
        case notReady
        case tooMany
    }

    mutating func submit(_ token: Token, bytes: Int, now: Instant) -> Submitted {
        guard case .ready = phase else { return .notReady }
        // A command of any size passes when it is alone, so that the bound never refuses for ever.
        let fits = inFlight.isEmpty || bytesInFlight + bytes <= limits.bytesInFlightMax
        guard inFlight.count < limits.commandsInFlightMax, fits else { return .tooMany }
        inFlight.append(InFlight(token: token, bytes: bytes, sent: now))
        bytesInFlight += bytes
        return .send
    }

    enum Received {
        /// The preparation goes on, or a heartbeat was answered.
        case nothing
        /// The connection is fit for work.
        case prepared
        case completed(Token, took: TimeSpan)
        /// The connection must end, and whoever waits fails with the reason: the server misbehaved, cannot work, or forgot our scripts. A
        /// new connection is fit for work only when the server is, and it loads the scripts; to load them in the middle of a pipeline
        /// would change the order of what is under way.
        case broken(reason: String)
    }

    mutating func received(_ reply: RedisReply, now: Instant) -> Received {
        lastReply = now
        secondLook = nil
        switch phase {
        case .preparing(let preparation): return prepare(preparation, with: reply)
        case .ready: return answer(with: reply, now: now)
        case .idle, .connecting, .waiting, .closed: return .broken(reason: "reply before the first command")
        }
    }

    private mutating func prepare(_ preparation: Preparation, with reply: RedisReply) -> Received {
        if case .error(let text) = reply { return .broken(reason: text) }
        var preparation = preparation
        if preparation.runID == nil {
            guard let runID = Self.runID(in: reply) else { return .broken(reason: "INFO without a run id") }
            preparation.runID = runID
        } else if preparation.scriptDigests.count < scripts {
            guard let digest = try? reply.text() else { return .broken(reason: "SCRIPT LOAD without a digest") }
            preparation.scriptDigests.append(digest)
        } else if let runID = preparation.runID {
            phase = .ready(Session(runID: runID, scriptDigests: preparation.scriptDigests))
            backoff.reset()
            return .prepared
        }
        phase = .preparing(preparation)
        return .nothing
    }

    private static func runID(in reply: RedisReply) -> String? {
        guard let info = try? reply.text() else { return nil }
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("run_id:") }
        return line.map { String($0.dropFirst("run_id:".count)) }
    }

    private mutating func answer(with reply: RedisReply, now: Instant) -> Received {
        if case .error(let text) = reply, RedisErrorKind(text) != .misuse { return .broken(reason: text) }
        guard let answered = inFlight.popFirst() else { return .broken(reason: "reply that nobody asked for") }
        bytesInFlight -= answered.bytes
        return answered.token.map { .completed($0, took: now - answered.sent) } ?? .nothing
    }

    enum Fired: Hashable {
        case nothing
        case connect(generation: UInt64)
        case heartbeat
        case expired(reason: String)
    }

    mutating func timerFired(now: Instant) -> Fired {
        guard let due = nextWake, due <= now else { return .nothing }
        switch phase {
        case .idle, .closed: return .nothing
        case .connecting, .preparing:
            return looksAgain(due, now) ? .nothing : .expired(reason: "no connection within \(limits.deadline)")
        case .waiting: return .connect(generation: connect(now: now))
        case .ready:
            guard inFlight.isEmpty else { return looksAgain(due, now) ? .nothing : .expired(reason: "no reply within \(limits.deadline)") }
            inFlight.append(InFlight(token: nil, bytes: 0, sent: now))
            return .heartbeat
        }
    }

    /// Whoever notices a deadline late was held up itself: the process was paused, or a tick took long. What the server has said meanwhile waits
    /// to be read, and a timer that is due comes before it. So it is read first; to give the connection up instead would fail everything that
    /// is under way and open every log anew, when there is the most to do anyway.
    private mutating func looksAgain(_ due: Instant, _ now: Instant) -> Bool {
        guard secondLook == nil, now - due >= limits.lateness else { return false }
        secondLook = now + limits.deadline / 4
        return true
    }
}
