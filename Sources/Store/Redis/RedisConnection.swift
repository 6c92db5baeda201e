import Logging
import MeshCore
import NIOCore
import NIOPosix
import TLS

/// Where a Redis listens.
public enum RedisAddress: Hashable, Sendable, CustomStringConvertible {
    case host(String, port: Int)
    case unixSocket(path: String)

    /// Nil for a socket of this machine.
    var host: String? {
        switch self {
        case .host(let host, _): host
        case .unixSocket: nil
        }
    }

    public var description: String {
        switch self {
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unixSocket(let path): path
        }
    }
}

/// The shell around `RedisConnectionMachine`: it owns the channel, the parser and the timer, and does what the machine says.
/// All of it happens on one event loop.
final class RedisConnection {
    private typealias Machine = RedisConnectionMachine<EventLoopPromise<RedisReply>>

    let loop: any EventLoop
    private(set) var state = StoreState.down("not connected yet")
    private(set) var figures = StoreFigures()
    private let address: RedisAddress
    private let encryption: TLSCredentials?
    private let limits: StoreLimits
    private let logger: Logger
    private let onStateChange: (StoreState) -> Void

    private var machine: Machine
    private var random = SystemRandomNumberGenerator()
    private var channel: (any Channel)?
    private var reader: HiredisReader?
    private var timer: (due: Instant, task: Scheduled<Void>)?
    private var flushIsScheduled = false
    private var connections: UInt64 = 0

    init(
        address: RedisAddress, on loop: any EventLoop, encryption: TLSCredentials?, limits: StoreLimits, logger: Logger,
        onStateChange: @escaping (StoreState) -> Void
    ) {
        self.address = address
        self.encryption = encryption
        self.loop = loop
        self.limits = limits
        self.logger = logger
        self.onStateChange = onStateChange
        machine = Machine(
            limits: .init(
                deadline: limits.deadline, heartbeat: limits.heartbeat, commandsInFlightMax: limits.commandsInFlightMax,
                bytesInFlightMax: limits.bytesInFlightMax),
            scripts: RedisScript.allCases.count)
    }

    /// Empty while the connection is not ready; commands are refused then.
    var runID: String { machine.session?.runID ?? "" }

    func digest(of script: RedisScript) -> String { machine.session?.scriptDigests[script.rawValue] ?? "" }

    func start() {
        loop.preconditionInEventLoop()
        guard let generation = machine.start(now: now) else { return }
        connect(generation)
        armTimer()
    }

    /// The reply may be an error reply of the command's own fault; those of a failing server fail the future with `.unavailable`. A
    /// refusal too comes in a later turn of the loop, never inside the call: who asks again at once when refused must not spin.
    func send(_ command: RedisCommand) -> EventLoopFuture<RedisReply> {
        loop.assertInEventLoop()
        figures.commands += 1
        let promise = loop.makePromise(of: RedisReply.self)
        switch machine.submit(promise, bytes: command.byteCount, now: now) {
        case .send:
            write(command)
            armTimer()
        case .notReady: refuse(promise, reasonForDown)
        case .tooMany:
            figures.refusedByBounds += 1
            refuse(promise, "too much in flight")
        }
        return promise.futureResult
    }

    func close() -> EventLoopFuture<Void> {
        loop.preconditionInEventLoop()
        let waiting = machine.close()
        timer?.task.cancel()
        timer = nil
        state = .down("closed")
        for promise in waiting { fail(promise, "closed") }
        guard let channel = dropChannel() else { return loop.makeSucceededVoidFuture() }
        channel.close(promise: nil)
        return channel.closeFuture
    }
}

// MARK: - What the channel reports

extension RedisConnection {
    fileprivate func received(_ bytes: ByteBuffer, generation: UInt64) {
        do {
            guard isCurrent(generation) else { return }
            try reader?.feed(bytes)
            // A reply's receiver may close this connection, and the parser with it.
            while isCurrent(generation), let reply = try reader?.next() { handle(reply) }
            // A deadline that was noticed late, and to be looked at again, is not any more.
            armTimer()
        } catch {
            lost(generation: generation, reason: error.text)
        }
    }

    fileprivate func lost(generation: UInt64, reason: String) {
        guard let lost = machine.lost(generation: generation, now: now, using: &random) else { return }
        dropChannel()?.close(promise: nil)
        state = .down(reason)
        armTimer()
        for promise in lost.failed { fail(promise, reason) }
        let metadata: Logger.Metadata = ["address": "\(address)", "reason": "\(reason)", "failed": "\(lost.failed.count)"]
        guard lost.wasReady else { return logger.debug("store connection failed", metadata: metadata) }
        logger.warning("store connection lost", metadata: metadata)
        onStateChange(state)
    }

    private func handle(_ reply: RedisReply) {
        switch machine.received(reply, now: now) {
        case .nothing: break
        case .prepared: becameReady()
        case .completed(let promise, let took):
            if case .error = reply { figures.failures += 1 }
            figures.latency.record(took)
            promise.succeed(reply)
        case .broken(let reason): lost(generation: machine.generation, reason: reason)
        }
    }

    private func becameReady() {
        connections += 1
        if connections > 1 { figures.reconnects += 1 }
        state = .up
        logger.info("store connected", metadata: ["address": "\(address)", "run": "\(runID)"])
        armTimer()
        onStateChange(.up)
    }

    private func isCurrent(_ generation: UInt64) -> Bool { generation == machine.generation && reader != nil }

    private func fail(_ promise: EventLoopPromise<RedisReply>, _ reason: String) {
        figures.failures += 1
        promise.fail(StoreError.unavailable(reason))
    }

    private func refuse(_ promise: EventLoopPromise<RedisReply>, _ reason: String) {
        figures.failures += 1
        loop.execute { promise.fail(StoreError.unavailable(reason)) }
    }

    private var reasonForDown: String {
        if case .down(let reason) = state { reason } else { "not ready" }
    }
}

// MARK: - What the machine asks for

extension RedisConnection {
    private var now: Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    private func connect(_ generation: UInt64) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(limits.deadline.nanoseconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = RedisChannelHandler(connection: bound.value, generation: generation)
                    if let encryption = bound.value.makeEncryption() { try channel.pipeline.syncOperations.addHandler(encryption) }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let connecting =
            switch address {
            case .host(let host, let port): bootstrap.connect(host: host, port: port)
            case .unixSocket(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel, generation)
            case .failure(let error): self.lost(generation: generation, reason: "cannot connect: \(error)")
            }
        }
    }

    /// With the newest certificates.
    private func makeEncryption() -> TLSHandler? {
        encryption.map { TLSHandler(TLSSession($0.context, serverName: address.host), handshakeTimeout: limits.deadline) }
    }

    private func connected(_ channel: any Channel, _ generation: UInt64) {
        guard machine.connected(generation: generation, now: now) else { return channel.close(promise: nil) }
        self.channel = channel
        reader = HiredisReader(replyBytesMax: limits.replyBytesMax)
        write(RedisCommand("INFO", "server"))
        for script in RedisScript.allCases {
            var load = RedisCommand("SCRIPT", "LOAD")
            load.append(script: script.source)
            write(load)
        }
        // A server that is a replica, full, or cut off from its own replicas reads well and cannot write.
        write(RedisCommand("SET", StoreKeys.writeProbe, "1", "PX", "1000"))
        armTimer()
    }

    /// What is larger leaves at once: the server works on it while we do the rest of our tick.
    private static let lingeringBytesMax = 16 << 10

    /// One flush for all commands of a tick.
    private func write(_ command: RedisCommand) {
        channel?.write(command.formatted(), promise: nil)
        if command.byteCount > Self.lingeringBytesMax { channel?.flush() }
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        loop.assumeIsolated().execute {
            self.flushIsScheduled = false
            self.channel?.flush()
        }
    }

    private func dropChannel() -> (any Channel)? {
        defer {
            channel = nil
            reader = nil
        }
        return channel
    }

    /// Keeps one timer that fires no later than the machine wants. One that fires early finds nothing to do and is armed again, which
    /// is cheaper than to move it with each command.
    private func armTimer() {
        guard let due = machine.nextWake else { return }
        if let timer {
            if timer.due <= due { return }
            timer.task.cancel()
        }
        let task = loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due.nanoseconds)) { self.timerFired() }
        timer = (due, task)
    }

    private func timerFired() {
        timer = nil
        switch machine.timerFired(now: now) {
        case .nothing: break
        case .connect(let generation): connect(generation)
        case .heartbeat: write(RedisCommand("PING"))
        case .expired(let reason): lost(generation: machine.generation, reason: reason)
        }
        armTimer()
    }
}

/// Hands what a channel reports to its connection, stamped with the attempt that the channel belongs to.
private final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: RedisConnection
    private let generation: UInt64

    init(connection: RedisConnection, generation: UInt64) {
        self.connection = connection
        self.generation = generation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.received(unwrapInboundIn(data), generation: generation)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.lost(generation: generation, reason: "the server closed the connection")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.lost(generation: generation, reason: "\(error)")
        context.close(promise: nil)
    }
}
