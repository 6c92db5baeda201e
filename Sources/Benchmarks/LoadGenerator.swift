import CLinux
import Glibc
import TLS

/// One thread, one epoll descriptor, many sessions on one server: the first of them publishes, all of them receive.
///
/// **Window**: the publisher keeps a number of messages under way and sends the next as soon as one has reached *every*
/// session, itself included. The same rule holds for every server and door, so the ratio of two rates compares them.
/// **Open loop**: messages are sent at a fixed rate, and their latency counts from when they should have been sent.
final class LoadGenerator {
    enum Pace: Sendable, Hashable {
        case window(Int)
        /// Messages a second.
        case rate(Int)
    }

    struct Measurement: Sendable {
        var seconds: Double
        var deliveries: UInt64
        var published: UInt64
        /// Off the wire.
        var bytes: UInt64
        var latency: Histogram
        /// Those of warm-up and draining too: what the server's own counters speak of.
        var totalDeliveries: UInt64
    }

    private static let eventsMax = 512
    /// Without a delivery for this long, messages are lost.
    private static let stallNanoseconds: UInt64 = 5_000_000_000
    /// After subscribing: quiet for this long means that the server has said what it had to say.
    private static let settleQuietMs: CInt = 200
    private static let settleNanosecondsMax: UInt64 = 5_000_000_000
    /// How often streams say that they live; the server gives them 90 s.
    private static let pingNanoseconds: UInt64 = 20_000_000_000

    private let dialect: Dialect
    private let target: LoadTarget
    private let tls: TLSContext?
    private let sessionsPerConnection: Int
    private let publishMessage: [UInt8]
    private let pingMessage: [UInt8]
    private let epoll: CInt
    private let inbox = LoadInbox()
    private var connections: [LoadConnection] = []
    /// The number of each connection's first session.
    private var firstSessions: [Int] = []
    private var sessionCount = 0
    private var window = DeliveryWindow(connections: 0)
    private var receivedBytes: UInt64 = 0
    /// Before traffic: what arrives is no delivery.
    private var isSettling = false
    private var pingedAt = Machine.now()
    private var events = [epoll_event](repeating: epoll_event(), count: eventsMax)

    /// - Parameter streams: sessions that share a connection where the door allows it.
    init(dialect: Dialect, target: LoadTarget, streams: Int = 1) throws {
        self.dialect = dialect
        self.target = target
        tls = try target.tlsContext(for: dialect.door)
        sessionsPerConnection = dialect.door.isMultiplexed ? streams : 1
        publishMessage = try dialect.publish()
        pingMessage = try dialect.ping()
        epoll = epoll_create1(0)
        guard epoll >= 0 else { throw BenchmarkError.connectFailed("epoll_create1") }
    }

    deinit { close(epoll) }

    // MARK: Before traffic

    /// Adds sessions up to a number and says hello on each.
    func connect(upTo count: Int, token: (Int) throws -> String) throws {
        while sessionCount < count {
            let connection = try connectionWithRoom()
            let session = try connection.openSession()
            let hello = try dialect.hello(token: try token(sessionCount), device: "device-\(sessionCount)")
            try connection.ask(hello, id: 1, on: session)
            sessionCount += 1
        }
    }

    private func connectionWithRoom() throws -> LoadConnection {
        if let last = connections.last, last.sessionCount < sessionsPerConnection { return last }
        let connection = try LoadConnection(dialect, target: target, number: connections.count, tls: tls, inbox: inbox)
        connections.append(connection)
        firstSessions.append(sessionCount)
        return connection
    }

    /// Subscribes every session, hands the sockets to epoll, and lets what else the server has to say pass by.
    func prepare() throws {
        for (index, connection) in connections.enumerated() {
            for session in 0..<connection.sessionCount { try connection.ask(try dialect.subscribe(), id: 2, on: session) }
            connection.becomeNonBlocking()
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(index)
            epoll_ctl(epoll, EPOLL_CTL_ADD, connection.descriptor, &event)
        }
        isSettling = true
        defer { isSettling = false }
        let deadline = Machine.now() + Self.settleNanosecondsMax
        while try poll(timeoutMs: Self.settleQuietMs) > 0, Machine.now() < deadline {}
    }

    /// Answers the server's pings and sends those that it expects of streams, while somebody else has the traffic.
    func keepAlive() throws {
        if !dialect.isFramed, Machine.now() - pingedAt > Self.pingNanoseconds {
            pingedAt = Machine.now()
            for connection in connections {
                for session in 0..<connection.sessionCount { try connection.send(pingMessage, on: session) }
            }
        }
        while try poll(timeoutMs: 0) > 0 {}
    }

    // MARK: Traffic

    /// Runs at a pace, first for the warm-up, and measures; then lets what is under way arrive.
    func run(_ pace: Pace, seconds: Double, warmUpSeconds: Double) throws -> Measurement {
        window = DeliveryWindow(connections: sessionCount)
        var schedule = Schedule(pace: pace, start: Machine.now())
        try pump(&schedule, until: Machine.now() + UInt64(warmUpSeconds * 1e9))
        window.latency = Histogram()
        let before = (Machine.now(), window.deliveries, window.published, receivedBytes)
        try pump(&schedule, until: before.0 + UInt64(seconds * 1e9))
        let elapsed = Double(Machine.now() - before.0) / 1e9
        var measurement = Measurement(
            seconds: elapsed, deliveries: window.deliveries - before.1, published: window.published - before.2,
            bytes: receivedBytes - before.3, latency: window.latency, totalDeliveries: 0)
        try drain()
        measurement.totalDeliveries = window.deliveries
        return measurement
    }

    private func pump(_ schedule: inout Schedule, until end: UInt64) throws {
        var now = Machine.now()
        var lastDelivery = now
        while now < end {
            try publishDue(&schedule, now)
            let before = window.deliveries
            try poll(timeoutMs: schedule.timeoutMs)
            now = Machine.now()
            if window.deliveries > before { lastDelivery = now }
            guard window.underWay == 0 || now - lastDelivery < Self.stallNanoseconds else {
                throw BenchmarkError.stalled(missing: UInt64(window.underWay))
            }
        }
    }

    /// Nothing is under way when it returns, so that the next run starts clean.
    private func drain() throws {
        var idleSince = Machine.now()
        while window.underWay > 0 {
            let before = window.deliveries
            try connections.first?.flush()
            try poll(timeoutMs: 100)
            if window.deliveries > before { idleSince = Machine.now() }
            guard Machine.now() - idleSince < Self.stallNanoseconds else {
                throw BenchmarkError.stalled(missing: UInt64(window.underWay))
            }
        }
    }

    /// All publishes of a moment leave in one call.
    private func publishDue(_ schedule: inout Schedule, _ now: UInt64) throws {
        var messages: [UInt8] = []
        while !window.isFull, let time = schedule.next(underWay: window.underWay, now: now) {
            window.publish(at: time)
            messages += publishMessage
        }
        guard let publisher = connections.first else { return }
        if messages.isEmpty { try publisher.flush() } else { try publisher.send(messages, on: 0) }
    }

    @discardableResult
    private func poll(timeoutMs: CInt) throws -> Int {
        let hasUnsent = connections.first?.hasUnsent ?? false
        let count = epoll_wait(epoll, &events, CInt(Self.eventsMax), hasUnsent ? min(timeoutMs, 1) : timeoutMs)
        guard count > 0 else { return 0 }
        for index in 0..<Int(count) { try receive(Int(events[index].data.u64)) }
        return Int(count)
    }

    private func receive(_ connection: Int) throws {
        let first = firstSessions[connection]
        let received = try connections[connection].countReceived { session, deliveries in
            guard !isSettling else { return }
            guard window.deliver(deliveries, to: first + session, at: Machine.now()) else {
                throw BenchmarkError.protocolFailed("more deliveries than messages")
            }
        }
        receivedBytes += UInt64(received)
    }
}

/// When the next message is due.
struct Schedule {
    private let pace: LoadGenerator.Pace
    private let start: UInt64
    private var count: UInt64 = 0

    init(pace: LoadGenerator.Pace, start: UInt64) {
        self.pace = pace
        self.start = start
    }

    /// How long to wait for deliveries: an open loop must not sleep past the next message.
    var timeoutMs: CInt {
        if case .rate = pace { return 0 }
        return 100
    }

    /// The time the next message counts from; nil if none is due.
    mutating func next(underWay: Int, now: UInt64) -> UInt64? {
        switch pace {
        case .window(let size): return underWay < size ? now : nil
        case .rate(let perSecond):
            let (high, low) = count.multipliedFullWidth(by: 1_000_000_000)
            let due = start + UInt64(perSecond).dividingFullWidth((high, low)).quotient
            guard due <= now else { return nil }
            count += 1
            return due
        }
    }
}
