import HTTP2
import MeshCore
import NIOCore
import Wire

/// One HTTP/2 connection of a client: opens a door for each of its streams, and writes for all of them at once.
final class HTTP2Connection: ClientSocketReceiver {
    let front: any ClientFront
    private let socket: ClientSocket
    private let settings: ClientListenerSettings
    private let session: HTTP2Session
    private var streams: [Int32: HTTP2Stream] = [:]
    private var withholding: Set<Int32> = []
    private var isQueued = false
    private var isReading = false
    private var isDraining = false
    private var hasFailed = false
    /// Found in the middle of a fan-out, where no session may end.
    private var faultToTell: HTTP2Fault?
    private var idleSince: Instant?
    /// In the outboxes of all streams.
    var waitingBytes = 0
    private let startedAt: Instant
    private var isEnded = false

    /// Bytes that are collected for one write. With the frame that goes over it, and encrypted, it fits into a buffer that `ConnectionTools`
    /// keeps: a larger one would be mapped afresh for every write.
    private static let outputBytesMax = 192 << 10
    /// All streams together may hold as much as this many of the largest outboxes.
    private static let outboxesMax = 4
    /// How often the timers are looked at.
    private static let checkEvery = TimeAmount.seconds(1)
    /// Clients that were told to open no more streams have this long to have heard it.
    private static let shutdownNotice = TimeAmount.seconds(1)

    init(socket: ClientSocket, front: any ClientFront, settings: ClientListenerSettings) {
        self.socket = socket
        self.front = front
        self.settings = settings
        let now = Self.now()
        session = HTTP2Session(role: .server, limits: settings.http2, now: now)
        startedAt = now
        idleSince = now
    }

    var eventLoop: any EventLoop { socket.eventLoop }
    private var tools: ConnectionTools { socket.tools }

    private static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    func start() {
        socket.receiver = self
        socket.readsThroughPipeline = false
        tools.opened(self)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleRepeatedTask(initialDelay: Self.checkEvery, delay: Self.checkEvery) { task in
            if !bound.value.check() { task.cancel() }
        }
        pump()
        if !front.acceptsConnections { drain() }
    }

    // MARK: In

    func socketReceived(_ bytes: ByteBuffer) {
        guard !hasFailed else { return }
        isReading = true
        defer { isReading = false }
        do throws(HTTP2Fault) {
            for event in try session.receive(bytes, now: Self.now()) { handle(event) }
        } catch {
            fail(error)
        }
    }

    func socketReadComplete() { pump() }

    private func handle(_ event: HTTP2Event) {
        switch event {
        case .headers(let id, let headers, let endsStream):
            open(id, headers, endsStream)
        case .data(let id, let bytes):
            session.consumeConnection(bytes: bytes.readableBytes)
            // Without a session nobody reads: the stream gets no credit beyond its first.
            streams[id]?.received(bytes)
        case .endOfStream(let id): streams[id]?.peerFinished()
        case .streamClosed(let id, _): closed(id)
        case .invalidFrame: front.countDrop(.protocolError)
        case .goaway, .settings: break
        }
    }

    private func fail(_ fault: HTTP2Fault) {
        guard !hasFailed else { return }
        hasFailed = true
        switch fault.kind {
        case .protocolError: front.countDrop(.protocolError)
        case .headersTooLarge: front.countDrop(.headersTooLarge)
        case .flood: front.countDrop(.http2Flood)
        }
        try? session.fill(bytesMax: Self.outputBytesMax)
        write()
        endStreams()
        socket.finish()
    }

    // MARK: Streams

    private func open(_ id: Int32, _ headers: HTTP2Headers, _ endsStream: Bool) {
        switch ClientDoor(headers, compresses: settings.compresses) {
        case .session(let door, let format, let answer, let deadline):
            guard front.acceptsConnections else { return refuse(id, door) }
            let stream = HTTP2Stream(id: id, connection: self, isCall: door == .grpc)
            streams[id] = stream
            idleSince = nil
            session.respond(stream: id, answer, body: stream)
            let client = ClientConnection(door, format, on: .stream(stream), tools: tools, settings: settings)
            stream.carry(client, deadline: deadline)
            front.connected(client)
            if client.delegate == nil { client.closeNow() }
            if endsStream { stream.peerFinished() }
        case .question(let question): ask(question, id)
        case .refused(let refusal):
            front.countDrop(.badHandshake)
            answer(refusal, id)
        case .refusedCall(let status, let reason):
            front.countDrop(.badHandshake)
            answerCall(status, reason, id)
        }
    }

    private func refuse(_ id: Int32, _ door: ClientConnection.Door) {
        front.countDrop(.connectionLimit)
        guard door != .grpc else { return answerCall(.unavailable, "this node takes no new sessions now", id) }
        answer(.problem(503, "this node takes no new sessions now", headers: [("retry-after", "1")]), id)
    }

    private func ask(_ question: HTTPQuestion, _ id: Int32) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let isHead = question.method == "HEAD"
        front.answer(question).whenComplete { result in
            var answer = (try? result.get()) ?? .problem(500, "internal")
            if isHead { answer.body = nil }
            bound.value.answer(answer, id)
        }
    }

    private func answer(_ answer: HTTPAnswer, _ id: Int32) {
        var headers: HTTP2Headers = [":status": "\(answer.status)"]
        for header in answer.headers { headers.add(header.name.lowercased(), header.value) }
        if let body = answer.body {
            if headers["content-type"] == nil { headers.add("content-type", "application/json") }
            headers.add("content-length", "\(body.utf8.count)")
        }
        session.respond(stream: id, headers, body: answer.body.map { FixedBody($0) })
        queue()
    }

    private func answerCall(_ status: GRPCStatus, _ reason: String, _ id: Int32) {
        var headers: HTTP2Headers = [":status": "200", "content-type": "application/grpc", "grpc-accept-encoding": "identity"]
        for field in HTTP2Stream.trailers(status, reason).fields { headers.add(field.name, field.value) }
        session.respond(stream: id, headers, body: nil)
        queue()
    }

    private func closed(_ id: Int32) {
        withholding.remove(id)
        streams.removeValue(forKey: id)?.closed()
        if streams.isEmpty { idleSince = Self.now() }
    }

    private func endStreams() {
        let ended = streams
        streams = [:]
        withholding = []
        session.forgetBodies()
        for stream in ended.values { stream.closed() }
    }

    // MARK: For the streams

    func consumed(_ id: Int32, bytes: Int) {
        session.consume(stream: id, bytes: bytes)
        withholding.remove(id)
        queue()
    }

    func withhold(_ id: Int32) { withholding.insert(id) }

    func hasMore(_ id: Int32) {
        session.resume(stream: id)
        queue()
    }

    /// Collects what the streams can send, first of all what was lent to this one. Written is only what makes room: the rest leaves with what
    /// the other streams are lent in this tick.
    func fill(for id: Int32) {
        guard socket.pendingBytes == 0, !hasFailed else { return }
        session.resume(stream: id)
        do throws(HTTP2Fault) {
            repeat {
                if session.output.capacity == 0 { session.output = tools.takeBuffer() }
                try session.fill(bytesMax: Self.outputBytesMax)
            } while session.output.readableBytes >= Self.outputBytesMax && write() && socket.pendingBytes == 0
        } catch {
            faultToTell = error
        }
        queue()
    }

    /// - Parameter hasEnded: our half of the stream is, or will be, at its end: the peer is only asked to stop.
    func cancel(_ id: Int32, hasEnded: Bool) {
        guard streams[id] != nil else { return }
        session.reset(stream: id, hasEnded ? .noError : .cancel)
        queue()
    }

    // MARK: Out

    private func queue() {
        guard !isQueued, !isEnded else { return }
        isQueued = true
        tools.queuePump(self)
    }

    /// Writes what there is, as long as the kernel takes it all.
    func pump() {
        isQueued = false
        guard !isReading, !hasFailed, !isEnded else { return }
        if let faultToTell { return fail(faultToTell) }
        do throws(HTTP2Fault) {
            // What waits stays in the outboxes, where it is counted, until the socket has room.
            while socket.pendingBytes == 0 {
                if session.output.capacity == 0 { session.output = tools.takeBuffer() }
                try session.fill(bytesMax: Self.outputBytesMax)
                guard write() else { break }
            }
        } catch {
            return fail(error)
        }
        release()
        for event in session.takeEvents() { handle(event) }
        for id in withholding { streams[id]?.giveCredit() }
        if socket.hasFailed { return socket.closeNow() }
        if session.isOver { socket.finish() }
    }

    /// False when there was nothing to write.
    @discardableResult
    private func write() -> Bool {
        guard session.output.readableBytes > 0 else { return false }
        let bytes = session.output
        session.output = ByteBuffer()
        bytes.withUnsafeReadableBytes { socket.send($0) }
        tools.giveBack(bytes)
        return true
    }

    private func release() {
        guard session.output.readableBytes == 0 else { return }
        tools.giveBack(session.output)
        session.output = ByteBuffer()
    }

    func socketDrained() { pump() }

    /// Past the bound of a connection those of its streams are too slow that hold more than the others.
    func holdsTooMuch(ofWhich bytes: Int) -> Bool {
        waitingBytes > Self.outboxesMax * settings.outbox.bytesMax && bytes * streams.count >= waitingBytes
    }

    // MARK: The end

    /// Streams that are on their way here are still served; then no more, and the connection ends with its last stream.
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        session.announceShutdown()
        queue()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.shutdownNotice) {
            bound.value.session.shutDown()
            bound.value.queue()
        }
    }

    /// False when there is nothing to look after any more.
    private func check() -> Bool {
        guard !isEnded else { return false }
        let now = Self.now()
        if socket.pendingBytes > 0, .now() - socket.progressAt >= .nanoseconds(settings.writeTimeout.nanoseconds) {
            front.countDrop(.slowConsumer)
            socket.closeNow()
        } else if !session.hasAgreedSettings, now - startedAt >= settings.handshakeTimeout {
            front.countDrop(.handshakeTimeout)
            socket.finish()
        } else if let idleSince, now - idleSince >= settings.idleTimeout {
            // A request whose end never comes does not hold a connection that is otherwise unused.
            if isDraining { socket.finish() } else { drain() }
            self.idleSince = now
        }
        return true
    }

    func socketEnded() {
        guard !isEnded else { return }
        isEnded = true
        tools.closed(self)
        endStreams()
    }
}
