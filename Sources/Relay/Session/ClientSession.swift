import Logging
import MeshConfiguration
import MeshCore
import NIOCore
import Presence
import Rooms
import Session
import SwiftProtobuf
import Transport
import View
import Wire

/// One session of a client: from its connection's upgrade to its end. Reads its frames, keeps its subscriptions, and owns its presence.
final class ClientSession: ClientConnectionDelegate {
    enum State {
        case awaitingHello
        /// The hello waits for its turn, then its token is checked; nothing else is read meanwhile.
        case verifying
        case active(Grants)
        case ended
    }

    struct Subscription {
        var interest: Interest
        /// Whether the room's state was reached and the session is fed.
        var isLive: Bool
        /// Where the replay begins that was asked for with it; nil for what is new only.
        var start: ReplayStart?
    }

    unowned let cell: Cell
    let connection: ClientConnection
    let number: UInt64
    private(set) var state: State = .awaitingHello
    var clock: SessionClock
    var device = ""
    var status = Status.online
    var note = ""
    var subscriptions: [String: Subscription] = [:]
    var watched: Set<String> = []
    var publishes: [String: PublishQueue<PendingPublish>] = [:]
    var publishesInFlight = 0
    /// Above every number used in any room, so that a queue that was emptied and forgotten goes on above its old numbers.
    var nextPublishNumber: UInt64 = 1
    var typingIn: [String: Instant] = [:]
    /// Rooms with earlier messages to be sent first.
    var catchUps: [String: CatchUp] = [:]
    var lastCatchUp: UInt64 = 0
    /// Until the welcome is sent.
    var resumption: Resumption?
    var keptBack: KeptBack?
    /// Whether the cell has it on its list of those to go on with.
    var isQueuedForCatchUp = false
    var publishRate: TokenBucket
    /// Rooms that the root of the user's inbox was told of.
    var notedRooms: Set<String> = []
    /// Frames that arrived while the token was checked.
    private var held: [RelayClientFrame] = []
    private var heldBytes = 0
    private(set) var identity = SessionIdentity.random()
    var visibility = Visibility.unknown
    /// Rooms whose list was given with herself in it before the root had heard of her.
    var awaitsOwnJoin: Set<String> = []
    /// Nothing of it is shown any more but what lingers.
    var hasLeft = false
    /// When it was told to come back, after its goodbye.
    private(set) var returnSlotMs = 0
    /// The code of the first goodbye.
    private var toldCode: CloseCode?
    private var clientLeft = false
    private var isBroken = false
    private var isDraining = false
    /// The client has sent its last frame and waits for what is still open.
    private var isFinishing = false
    /// Frames with an id whose answer has not been sent.
    private var unanswered = 0
    private var saidGoodbye = false

    static let heldFramesMax = 1_000
    /// A WebSocket message may carry several frames; all of it is at most as large as this many of the largest.
    private static let framesPerMessage = 4

    init(cell: Cell, connection: ClientConnection, number: UInt64) {
        self.cell = cell
        self.connection = connection
        self.number = number
        let now = Clock.now()
        clock = SessionClock(openedAt: now, helloTimeout: cell.context.timings.helloTimeout)
        let rate = cell.context.limits.publishesPerSecondMax
        publishRate = TokenBucket(perSecond: rate, burst: 2 * rate, now: now)
    }

    var grants: Grants? {
        if case .active(let grants) = state { grants } else { nil }
    }

    var user: String { grants?.user ?? "" }
    var isEnded: Bool {
        if case .ended = state { true } else { false }
    }

    // MARK: The connection

    func connectionHeard() { clock.heard(now: Clock.now()) }

    func connectionReceived(_ payload: ByteBuffer, as encoding: FrameEncoding) {
        guard encoding == connection.encoding else { return connection.violated(.unexpectedType) }
        let limits = cell.context.limits
        let most = if case .awaitingHello = state { limits.maxHelloBytes } else { limits.maxFrameBytes }
        if isHolding {
            heldBytes += payload.readableBytes
            guard heldBytes <= limits.maxHelloBytes else { return goodbye(.rateLimitAbused, "too much before the welcome") }
        }
        let frames: [RelayClientFrame]
        do throws(FrameFault) {
            frames = try ClientFrameDecoder.decode(payload, encoding: encoding, frameBytesMax: most)
        } catch {
            return refuse(error)
        }
        for frame in frames {
            guard !isEnded, !hasLeft, !saidGoodbye else { return }
            receive(frame)
        }
    }

    /// What comes now is kept until the welcome.
    private var isHolding: Bool {
        if case .verifying = state { true } else { resumption != nil }
    }

    private func refuse(_ fault: FrameFault) {
        switch fault {
        case .malformed: goodbye(.malformed, "not a frame of heliograph.v1")
        case .noFrame: goodbye(.malformed, "a frame must hold exactly one request")
        case .tooLarge: goodbye(.frameTooLarge, "a frame is larger than maxFrameBytes")
        }
    }

    func connectionViolated(_ violation: WebSocketViolation) {
        isBroken = true
        cell.drops.count(violation.code == WebSocketCloseCode.messageTooBig ? .frameTooLarge : .protocolError)
        if violation.code == WebSocketCloseCode.messageTooBig { say(.frameTooLarge, violation.reason) }
    }

    /// The peer does not read: what waits for it is given up, and it reads history when it comes back.
    func endSlow() {
        guard !isEnded else { return }
        connection.discardOutbox()
        goodbye(.slowConsumer, "the connection did not keep up")
        // Also if it was told goodbye before, by a node that stops.
        connection.close(code: CloseCode.slowConsumer.rawValue, reason: "the connection did not keep up")
        end()
    }

    func connectionFinished() {
        isFinishing = true
        if case .awaitingHello = state { return connection.close(code: WebSocketCloseCode.normal, reason: "") }
        closeWhenSettled()
    }

    func connectionEnded(clean: Bool) {
        if clean { clientLeft = true }
        end()
    }

    /// What the server has said first counts: a client that was told to come back closes as its transport wants it.
    private var manner: SessionEnd {
        if let toldCode { return .told(toldCode) }
        if isBroken { return .broken }
        return clientLeft ? .byClient : .lost
    }

    func end() {
        guard !isEnded else { return }
        leaveEverything(lingeringFor: lingering(after: manner))
        state = .ended
        connection.delegate = nil
        cell.ended(self)
    }

    // MARK: Frames in

    private func receive(_ frame: RelayClientFrame) {
        switch state {
        case .awaitingHello:
            countUnanswered(frame)
            guard case .hello(let hello) = frame.frame else {
                return goodbye(.unauthenticated, "hello comes first")
            }
            state = .verifying
            cell.admission.consider(hello, id: frame.id, of: self)
        case .verifying: hold(frame)
        case .active(let grants):
            guard resumption == nil else { return hold(frame) }
            countUnanswered(frame)
            handle(frame, grants)
        case .ended: break
        }
    }

    private func hold(_ frame: RelayClientFrame) {
        guard held.count < Self.heldFramesMax else { return goodbye(.rateLimitAbused, "too many frames before the welcome") }
        held.append(frame)
    }

    /// What came before the welcome.
    func receiveHeld() {
        // Even if the client has said its last: what it said before is done first.
        let wasFinishing = isFinishing
        isFinishing = false
        let frames = held
        held = []
        for frame in frames where !isEnded && !hasLeft && !saidGoodbye { receive(frame) }
        isFinishing = wasFinishing
        closeWhenSettled()
    }

    private func countUnanswered(_ frame: RelayClientFrame) {
        if frame.id != 0 { unanswered += 1 }
    }

    /// Its turn has come.
    func admitted(_ hello: RelayHello, id: UInt32) {
        let tokens = cell.context.tokens
        let bound = NIOLoopBound(self, eventLoop: cell.loop)
        let token = hello.token
        Task {
            let result = await tokens.verify(token, now: Clock.wall())
            bound.eventLoop.execute { bound.value.verified(result, hello, id: id) }
        }
    }

    private func verified(_ result: Result<Grants, TokenVerifier.Fault>, _ hello: RelayHello, id: UInt32) {
        guard case .verifying = state, connection.isOpen else { return }
        switch result {
        case .failure(.expired):
            fail(id, .unauthenticated, "the token has expired")
            goodbye(.tokenExpired, "the token has expired")
        case .failure(.invalid(let reason)):
            fail(id, .unauthenticated, reason)
            goodbye(.unauthenticated, reason)
        case .success(let grants):
            do throws(RequestFault) {
                try begin(hello, grants, id: id)
            } catch {
                fail(id, error)
                goodbye(.malformed, error.message)
            }
        }
    }

    private func begin(_ hello: RelayHello, _ grants: Grants, id: UInt32) throws(RequestFault) {
        let opening = try SessionOpening(
            hello, grants, tickets: cell.context.tickets, defaultHeartbeat: cell.context.timings.heartbeatDefault)
        if isDraining {
            fail(id, .unavailable, "the node is stopping")
            return goodbye(.draining, "the node is stopping")
        }
        state = .active(grants)
        device = opening.device
        status = opening.status
        clock.started(heartbeat: opening.heartbeat, now: Clock.now())
        connection.limitMessages(to: Self.framesPerMessage * cell.context.limits.maxFrameBytes)
        cell.figures.hellos += 1
        if let ticket = opening.ticket { identity = ticket.nextIdentity(now: Clock.wall()) }
        beginPresence()
        defer { if let ticket = opening.ticket { tellPredecessor(ticket) } }
        guard hello.resume.isEmpty else {
            return resume(hello.resume, grants) { [weak self] resumed in self?.greet(opening, resumed, id: id) }
        }
        greet(opening, [], id: id)
        receiveHeld()
    }

    private func greet(_ opening: SessionOpening, _ resumed: [RelayResumed], id: UInt32) {
        let wasFinishing = isFinishing
        isFinishing = false
        reply(id, .welcome(welcome(opening, resumed)))
        isFinishing = wasFinishing
    }

    private func welcome(_ opening: SessionOpening, _ resumed: [RelayResumed]) -> RelayWelcome {
        let inbox = NameRules.inbox(of: user)
        return .with {
            $0.session = ticketText
            $0.user = user
            $0.device = device
            $0.region = cell.context.region.name
            $0.node = cell.context.node.name
            $0.home = .with {
                $0.region = cell.topology.view.homes(of: inbox).home?.name ?? ""
                $0.shard = UInt32(Shard(room: inbox).number)
            }
            $0.heartbeatSeconds = UInt32(opening.heartbeat.milliseconds / 1000)
            $0.maxFrameBytes = UInt32(cell.context.limits.maxFrameBytes)
            $0.resumed = resumed
        }
    }

    // MARK: Frames out

    /// The answer to a frame that wants one.
    func reply(_ id: UInt32, _ answer: RelayServerFrame.OneOf_Frame) {
        guard id != 0 else { return }
        var frame = RelayServerFrame()
        frame.id = id
        frame.frame = answer
        send(frame)
        unanswered -= 1
        closeWhenSettled()
    }

    /// Without an id an error has nobody to go to; it is counted all the same.
    func fail(_ id: UInt32, _ fault: RequestFault) {
        if let drop = fault.drop { cell.drops.count(drop) }
        reply(id, .error(RelayError(fault.code, fault.message, retryAfterMs: fault.retryAfterMs)))
    }

    func fail(_ id: UInt32, _ code: RelayErrorCode, _ message: String) {
        reply(id, .error(RelayError(code, message)))
    }

    func push(_ frame: RelayServerFrame) { send(frame) }

    private func send(_ frame: RelayServerFrame) {
        guard connection.isOpen else { return }
        clock.spoke(now: Clock.now())
        connection.append { cell.encode(frame, connection.encoding, into: &$0) }
        cell.queueFlush(connection)
    }

    // MARK: The end

    /// Tells the client why, with a WebSocket close of the same code behind it.
    func goodbye(_ code: CloseCode, _ reason: String) {
        guard !saidGoodbye else { return }
        if let drop = code.dropReason { cell.drops.count(drop) }
        say(code, reason)
        connection.close(code: code.rawValue, reason: reason)
    }

    /// More come than can be served: the client is told when its turn is.
    func turnAway(id: UInt32, afterMs: Int) {
        guard case .verifying = state, !saidGoodbye else { return }
        let reason = "too many sessions come at once"
        fail(id, RequestFault(code: .unavailable, message: reason, retryAfterMs: afterMs, drop: .admissionRefused))
        say(.overloaded, reason, afterMs: afterMs)
        connection.close(code: CloseCode.overloaded.rawValue, reason: reason)
    }

    private func say(_ code: CloseCode, _ reason: String, edges: [String] = [], afterMs: Int = 0) {
        guard !saidGoodbye else { return }
        saidGoodbye = true
        toldCode = code
        returnSlotMs = afterMs
        var frame = RelayServerFrame()
        frame.goodbye = .with {
            $0.code = UInt32(code.rawValue)
            $0.reason = reason
            $0.reconnect = code.mayReconnect
            $0.afterMs = UInt32(afterMs)
            $0.edges = edges
        }
        send(frame)
    }

    /// The client says that it goes: nobody waits for its transport.
    func leaveByGoodbye() {
        clientLeft = true
        leaveEverything(lingeringFor: lingering(after: manner))
        connection.close(code: WebSocketCloseCode.normal, reason: "")
    }

    /// The node stops: the client is told where and when to come back, and closes when it has understood. Publishes that have no outcome
    /// yet are waited for (`isSettled`).
    func drain(edges: [String], afterMs: Int) {
        guard !isDraining else { return }
        isDraining = true
        guard case .active = state else { return goodbye(.draining, "the node is stopping") }
        say(.draining, "the node is stopping", edges: edges, afterMs: afterMs)
        closeWhenSettled()
    }

    func closeWhenSettled() {
        guard isDraining || isFinishing, publishesInFlight == 0, resumption == nil, case .active = state else { return }
        if isFinishing, unanswered > 0 { return }
        if isFinishing { return connection.close(code: WebSocketCloseCode.normal, reason: "") }
        connection.close(code: CloseCode.draining.rawValue, reason: "the node is stopping")
    }

    func checkClock(now: Instant) {
        guard !isEnded else { return }
        switch clock.check(now: now) {
        case .fine: break
        case .ping:
            if !connection.ping() { push(.with { $0.pong = .init() }) }
            clock.pinged(now: now)
        case .close(let code):
            return goodbye(code, code == .helloTimeout ? "no hello in time" : "nothing heard in time")
        }
        if connection.stalledFor >= cell.context.timings.outboxStall { return endSlow() }
        if let grants, grants.expiresAt * 1000 <= Clock.wall() { goodbye(.tokenExpired, "the token has expired") }
    }
}
