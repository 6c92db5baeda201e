import MeshCore
public import NIOCore
import NIOPosix
import SwiftProtobuf
import Synchronization
public import Wire

/// One user's session with the mesh, over whichever relays it takes.
///
///     let client = try await HeliographClient.connect(url: "ws://127.0.0.1:7100", token: token)
///     _ = try await client.subscribe(room: "lobby", presence: true)
///     _ = try await client.publish(room: "lobby", text: "good morning")
///     for try await push in client.pushes {
///         if case .message(let message) = push { print(message.from, message.text) }
///     }
///
/// When the connection is lost the client comes back by itself, as the relay's goodbye and `ReconnectPolicy` say, takes its session over,
/// resumes every room behind the last message it was pushed, watches again, and repeats the requests that may be repeated: all but pings
/// and ephemeral publishes. Messages that come again are dropped; what is lost for good is told by a `gap`. A durable publish carries a
/// key, so its repetition appears once. With `resumeState` the same works over a restart of the application. `pushes` ends with an error
/// when the session is over for good. Call `close()` when done; until then the client keeps itself and its connection alive.
public final class HeliographClient: Sendable {
    /// Requests that may wait for an answer at once; one more is refused with `tooManyRequests`.
    public static let requestsMax = 1024
    /// How often deadlines and the heartbeat are looked at.
    static let tick = TimeSpan.milliseconds(100)
    /// How long a relay that has refused a hello may take to say why.
    static let farewellTimeout = TimeSpan.seconds(2)

    /// What the client was made with.
    public let options: ClientOptions
    private let pushesOut: AsyncThrowingStream<ClientPush, any Error>
    private let pushesIn: AsyncThrowingStream<ClientPush, any Error>.Continuation
    private let token: @Sendable () async throws -> String
    private let group: any EventLoopGroup
    private let dialer: ClientDialer
    private let policy: Mutex<ReconnectPolicy>
    let state: Mutex<ClientState>

    /// Connects and says hello.
    /// - Parameters:
    ///   - url: `wss://host:port` or `https://host:port`; `ws:` and `http:` are not encrypted. A path of its own replaces the transport's.
    ///   - token: a JWT whose `sub` is the user.
    ///   - resume: the `resumeState` of an earlier client of the same user. Its rooms need no `subscribe`: their pushes go on where it was.
    /// - Throws: `HeliographClientError`; the first attempt is not repeated.
    public static func connect(
        url: String, token: String, options: ClientOptions = ClientOptions(), resume: ResumeState? = nil,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws -> HeliographClient {
        try await connect(url: url, options: options, resume: resume, group: group) { token }
    }

    /// The same with a token that is asked for anew at each connection, for tokens that expire.
    public static func connect(
        url: String, options: ClientOptions = ClientOptions(), resume: ResumeState? = nil,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, token: @escaping @Sendable () async throws -> String
    ) async throws -> HeliographClient {
        let origin = try RelayURL(url)
        let client = HeliographClient(origin: origin, options: options, resume: resume, group: group, token: token)
        client.startTicking()
        do throws(AttemptFailure) {
            let connection = try await client.establish(origin)
            client.startSupervising(connection)
            return client
        } catch {
            client.end(.closed)
            throw error.error
        }
    }

    private init(
        origin: RelayURL, options: ClientOptions, resume: ResumeState?, group: any EventLoopGroup,
        token: @escaping @Sendable () async throws -> String
    ) {
        self.options = options
        self.group = group
        dialer = ClientDialer(options, group: group)
        self.token = token
        policy = Mutex(ReconnectPolicy(origin: origin, settings: options.reconnect ?? ReconnectPolicy.Settings()))
        state = Mutex(ClientState(resumption: ResumptionTracker(resume)))
        (pushesOut, pushesIn) = AsyncThrowingStream.makeStream(bufferingPolicy: .bufferingOldest(options.pushesMax))
    }

    /// Everything the relay says unasked, in its order. One consumer; a second iteration sees nothing of the first's.
    public var pushes: ClientPushes {
        ClientPushes(stream: pushesOut) { [weak self] push in self?.state.withLock { $0.resumption.handled(push) } }
    }

    /// What another client of the same user needs to go on with this session: see `ResumeState`.
    public var resumeState: ResumeState { state.withLock { $0.resumption.state } }

    /// Messages that came again after a resume and were dropped.
    public var duplicatesDropped: UInt64 { state.withLock { $0.resumption.duplicates } }

    /// What the relay said at the last hello: session, user, region, node, home, and how it resumed each room.
    public var welcome: RelayWelcome { state.withLock { $0.welcome } }

    /// Says goodbye and waits until the connection is gone, two seconds at most. Requests that still wait fail with
    /// `closed`, and `pushes` ends.
    public func close() async {
        let connection = state.withLock { state -> ClientConnection? in
            guard case .open(let connection) = state.phase else { return nil }
            return connection
        }
        end(nil)
        guard let connection else { return }
        connection.close(farewell: .with { $0.goodbye = RelayClientGoodbye() })
        _ = try? await connection.closed.get()
    }

    // MARK: - One attempt

    /// Connects, opens the transport, says hello, restores what the session had and sends what waits.
    private func establish(_ url: RelayURL) async throws(AttemptFailure) -> ClientConnection {
        let generation = state.withLock { state in
            state.generation += 1
            return state.generation
        }
        let hello: RelayHello
        do { hello = makeHello(try await token()) } catch { throw AttemptFailure(error) }
        let connection = try await dialer.dial(url) { [weak self] frames in self?.received(frames, generation) }
        connection.closed.whenSuccess { [weak self] cause in self?.connectionEnded(generation, cause) }
        let refusal = try await greet(connection, hello)
        guard refusal != nil else { return connection }
        // Without what it resumed, a hello is refused for good.
        return try await establish(url)
    }

    /// The relay's reason if it did not like what the hello resumed.
    private func greet(_ connection: ClientConnection, _ hello: RelayHello) async throws(AttemptFailure) -> RelayError? {
        do {
            let reply = try await sayHello(hello, on: connection)
            switch reply.frame {
            case .welcome: return nil
            case .error(let error): throw HeliographClientError.refused(error)
            default: throw HeliographClientError.unexpectedReply
            }
        } catch {
            // The relay's goodbye follows its error; it says whether to come back.
            group.next().scheduleTask(in: .nanoseconds(Self.farewellTimeout.nanoseconds)) {
                connection.abort(.transport("hello failed"))
            }
            let cause = (try? await connection.closed.get()) ?? .transport("hello failed")
            guard case HeliographClientError.refused(let refusal) = error else { throw AttemptFailure(error, cause) }
            if state.withLock({ $0.resumption.refused(hello, refusal.code) }) { return refusal }
            throw AttemptFailure(error, cause, retryAfter: .milliseconds(Int(refusal.retryAfterMs)))
        }
    }

    private func makeHello(_ token: String) -> RelayHello {
        state.withLock { state in
            var hello = RelayHello()
            hello.token = token
            hello.status = state.restorations.presence?.status ?? options.status
            if let device = options.device { hello.device = device }
            if let seconds = options.heartbeatSeconds { hello.heartbeatSeconds = seconds }
            state.resumption.complete(&hello)
            return hello
        }
    }

    private func sayHello(_ hello: RelayHello, on connection: ClientConnection) async throws -> RelayServerFrame {
        try await withCheckedThrowingContinuation { continuation in
            state.withLock { state in
                var frame = RelayClientFrame.with { $0.hello = hello }
                let deadline = now() + options.connectTimeout
                let waiter = Waiter.hello(connection, continuation)
                guard let id = state.table.add(frame, waiter: waiter, deadline: deadline, survivesReconnect: false) else {
                    return continuation.resume(throwing: HeliographClientError.tooManyRequests)
                }
                frame.id = id
                do throws(HeliographClientError) {
                    try connection.send([frame], bytesMax: ClientFraming.frameBytesMax)
                } catch {
                    state.fail(id, error, now: now())
                }
            }
        }
    }

    /// Before anything that the relay says behind its welcome is heard.
    private func opened(_ connection: ClientConnection, _ welcome: RelayWelcome, _ state: inout ClientState) {
        guard case .connecting = state.phase else { return connection.abort(.transport("closed meanwhile")) }
        policy.withLock { $0.connected(at: now()) }
        let hasReturned = !state.welcome.session.isEmpty
        state.welcome = welcome
        state.phase = .open(connection)
        if hasReturned { push(.reconnected(welcome), &state) }
        var random = SystemRandomNumberGenerator()
        let refused = state.resumption.welcomed(welcome, now: now(), using: &random)
        for (room, error) in refused { push(.unsubscribed(.with { ($0.room, $0.error) = (room, error) }), &state) }
        let waiting = state.table.waiting
        state.restorations.welcomed(now: now())
        askForWhatIsDue(&state)
        for (id, body) in waiting { transmit(body, id, on: connection, &state) }
    }

    private func askForWhatIsDue(_ state: inout ClientState) {
        for (frame, waiter) in state.due(at: now()) { submit(frame, waiter, survivesReconnect: false, &state) }
    }

    // MARK: - Coming back

    private func startSupervising(_ connection: ClientConnection) {
        let supervisor = Task { await supervise(connection) }
        let isOver = state.withLock { state in
            state.supervisor = supervisor
            if case .over = state.phase { return true }
            return false
        }
        if isOver { supervisor.cancel() }
    }

    private func supervise(_ first: ClientConnection) async {
        var connection = first
        while let cause = try? await connection.closed.get(), let next = await comeBack(after: cause) { connection = next }
    }

    /// Tries until a relay welcomes us again; nil when the session is over.
    private func comeBack(after cause: DisconnectCause) async -> ClientConnection? {
        var cause = cause
        var least = TimeSpan.zero
        while true {
            guard case .reconnect(let delay, let url) = decide(cause, least) else {
                end(.disconnected(cause))
                return nil
            }
            state.withLock { push(.disconnected(cause, retryAfter: delay), &$0) }
            try? await Task.sleep(nanoseconds: UInt64(max(0, delay.nanoseconds)))
            if isOver { return nil }
            do throws(AttemptFailure) {
                return try await establish(url)
            } catch {
                cause = error.cause
                least = error.retryAfter
            }
        }
    }

    private func decide(_ cause: DisconnectCause, _ least: TimeSpan) -> ReconnectPolicy.Decision {
        guard options.reconnect != nil, !isOver else { return .stop }
        var random = SystemRandomNumberGenerator()
        return policy.withLock { $0.lost(cause, at: now(), notBefore: least, using: &random) }
    }

    private var isOver: Bool {
        state.withLock { state in
            if case .over = state.phase { return true }
            return false
        }
    }

    // MARK: - Events

    private func received(_ frames: [RelayServerFrame], _ generation: Int) {
        state.withLock { state in
            guard generation == state.generation else { return }
            for frame in frames { handle(frame, &state) }
        }
    }

    private func handle(_ frame: RelayServerFrame, _ state: inout ClientState) {
        guard frame.id == 0 else { return answer(frame, &state) }
        switch frame.frame {
        case .message(let message): if state.resumption.accepts(message) { push(.message(message), &state) }
        case .roomPresence(let presence): push(.roomPresence(presence), &state)
        case .userPresence(let presence): push(.userPresence(presence), &state)
        case .typing(let typing): push(.typing(typing), &state)
        case .receipt(let receipt): push(.receipt(receipt), &state)
        case .gap(let gap):
            state.resumption.noted(gap)
            push(.gap(gap), &state)
        case .subscribed(let subscribed):
            state.resumption.resumed(subscribed)
            push(.subscribed(subscribed), &state)
        case .unsubscribed(let unsubscribed):
            state.resumption.forget(unsubscribed.room)
            push(.unsubscribed(unsubscribed), &state)
        default: break  // pong: a sign of life and no more; goodbye: the connection's end tells of it
        }
    }

    private func answer(_ frame: RelayServerFrame, _ state: inout ClientState) {
        guard let request = state.table.remove(frame.id) else { return }
        switch request.waiter {
        case .caller(let continuation):
            state.answered(request.body, by: frame, now: now())
            continuation.resume(returning: frame)
        case .hello(let connection, let continuation):
            if case .welcome(let welcome) = frame.frame { opened(connection, welcome, &state) }
            continuation.resume(returning: frame)
        case .restoration(let part): restored(part, frame, &state)
        case .resubscription(let room): resubscribed(room, frame, &state)
        }
    }

    private func resubscribed(_ room: String, _ answer: RelayServerFrame, _ state: inout ClientState) {
        switch answer.frame {
        case .subscribed(let subscribed):
            state.resumption.resumed(subscribed)
            push(.subscribed(subscribed), &state)
        case .error(let error):
            var random = SystemRandomNumberGenerator()
            if state.resumption.postpone(room, error, now: now(), using: &random) { return }
            push(.unsubscribed(.with { ($0.room, $0.error) = (room, error) }), &state)
        default: state.fail(.resubscription(room: room), HeliographClientError.unexpectedReply, now: now())
        }
    }

    private func restored(_ part: Restorations.Part, _ answer: RelayServerFrame, _ state: inout ClientState) {
        guard case .error(let error) = answer.frame, HeliographClientError.refused(error).isRetryable else { return }
        var random = SystemRandomNumberGenerator()
        state.restorations.postpone(part, notBefore: .milliseconds(Int(error.retryAfterMs)), now: now(), using: &random)
    }

    private func push(_ push: ClientPush, _ state: inout ClientState) {
        guard case .dropped = pushesIn.yield(push) else { return }
        end(.pushesOverflowed(limit: options.pushesMax), &state)
    }

    private func connectionEnded(_ generation: Int, _ cause: DisconnectCause) {
        state.withLock { state in
            guard generation == state.generation else { return }
            if case .open = state.phase { state.phase = .connecting }
            for waiter in state.table.connectionLost() { state.fail(waiter, HeliographClientError.connectionLost(cause), now: now()) }
            state.resumption.connectionLost()
        }
    }

    private func startTicking() {
        let interval = TimeAmount.nanoseconds(Self.tick.nanoseconds)
        group.next().scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] task in
            if self?.ticked() != true { task.cancel() }
        }
    }

    /// False when there is nothing to look after any more.
    private func ticked() -> Bool {
        state.withLock { state in
            for waiter in state.table.expire(at: now()) { state.fail(waiter, HeliographClientError.deadlineExceeded, now: now()) }
            switch state.phase {
            case .over: return false
            case .connecting: return true
            case .open(let connection):
                keepAlive(connection, state)
                askForWhatIsDue(&state)
                return true
            }
        }
    }

    /// A WebSocket's server asks for signs of life; on a stream they are the client's business.
    private func keepAlive(_ connection: ClientConnection, _ state: ClientState) {
        let heartbeatMs = 1000 * Int(state.welcome.heartbeatSeconds)
        guard heartbeatMs > 0 else { return }
        if now() - connection.lastReceived > .milliseconds(heartbeatMs + heartbeatMs / 2) {
            connection.abort(.transport("heartbeat missed"))
        } else if options.transport.isStream, now() - connection.lastSent >= .milliseconds(heartbeatMs) {
            try? connection.send([.with { $0.ping = RelayPing() }], bytesMax: state.frameBytesMax)
        }
    }

    /// Ends the session; nil: as asked for.
    private func end(_ error: HeliographClientError?) {
        state.withLock { end(error, &$0) }
    }

    private func end(_ error: HeliographClientError?, _ state: inout ClientState) {
        if case .over = state.phase { return }
        if case .open(let connection) = state.phase, let error { connection.abort(.transport("\(error)")) }
        state.phase = .over(error ?? .closed)
        for waiter in state.table.removeAll() { state.fail(waiter, error ?? .closed, now: now()) }
        pushesIn.finish(throwing: error)
        state.supervisor?.cancel()
    }

    func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
}
