import CLinux
import Glibc
import NIOCore
import Wire

/// One thread, one epoll descriptor, many connections to one server: the first of them publishes, all of them receive.
///
/// **Window**: the publisher keeps a number of messages under way and sends the next as soon as one has reached *every*
/// connection, itself included. The same rule holds for every server, so the ratio of two rates compares the servers.
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
        var bytes: UInt64
        var latency: Histogram
        /// Those of warm-up and draining too: what the server's own counters speak of.
        var totalDeliveries: UInt64
    }

    private static let receiveBytes = 256 << 10
    private static let eventsMax = 512
    /// Without a delivery for this long, messages are lost.
    private static let stallNanoseconds: UInt64 = 5_000_000_000
    /// After subscribing: quiet for this long means that the server has said what it had to say.
    private static let settleQuietMs: CInt = 200
    private static let settleNanosecondsMax: UInt64 = 5_000_000_000

    private let dialect: Dialect
    private let publishFrame: [UInt8]
    private let epoll: CInt
    private var descriptors: [CInt] = []
    private var counters: [DeliveryCounter] = []
    private var window = DeliveryWindow(connections: 0)
    private var receivedBytes: UInt64 = 0
    /// Before traffic: what arrives is no delivery.
    private var isSettling = false
    private var unsent: [UInt8] = []
    private var unsentFrom = 0
    private let inbox = UnsafeMutableRawPointer.allocate(byteCount: receiveBytes, alignment: 64)
    private var events = [epoll_event](repeating: epoll_event(), count: eventsMax)

    init(dialect: Dialect) throws {
        self.dialect = dialect
        publishFrame = try dialect.publishFrame()
        epoll = epoll_create1(0)
        guard epoll >= 0 else { throw BenchmarkError.connectFailed("epoll_create1") }
    }

    deinit {
        for descriptor in descriptors { close(descriptor) }
        close(epoll)
        inbox.deallocate()
    }

    // MARK: - Before traffic

    /// Adds connections up to a number and says hello on each.
    func connect(upTo count: Int, host: String, port: Int, token: (Int) throws -> String) throws {
        for number in descriptors.count..<max(count, descriptors.count) {
            let descriptor = try LoadSocket.open(host: host, port: port, number: number, dialect: dialect)
            descriptors.append(descriptor)
            counters.append(DeliveryCounter(unit: dialect.unit))
            guard case .relay(let encoding, _) = dialect.kind else { continue }
            let hello = try dialect.hello(token: try token(number), device: "device-\(number)")
            try ask(number, hello, id: 1, encoding)
        }
    }

    /// Subscribes every connection, hands the sockets to epoll, and lets what else the server has to say pass by.
    func prepare() throws {
        for (index, descriptor) in descriptors.enumerated() {
            if case .relay(let encoding, _) = dialect.kind { try ask(index, try dialect.subscribe(), id: 2, encoding) }
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(index)
            epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
        }
        isSettling = true
        defer { isSettling = false }
        let deadline = Machine.now() + Self.settleNanosecondsMax
        while try poll(timeoutMs: Self.settleQuietMs) > 0, Machine.now() < deadline {}
    }

    /// Bytes behind the reply begin in the middle of what will be counted: the counter must have seen them.
    private func ask(_ connection: Int, _ request: [UInt8], id: UInt32, _ encoding: FrameEncoding) throws {
        let rest = try LoadSocket.ask(descriptors[connection], request, id: id, encoding: encoding)
        _ = rest.withUnsafeReadableBytes { counters[connection].count($0) }
    }

    // MARK: - Traffic

    /// Runs at a pace, first for the warm-up, and measures; then lets what is under way arrive.
    func run(_ pace: Pace, seconds: Double, warmUpSeconds: Double) throws -> Measurement {
        window = DeliveryWindow(connections: descriptors.count)
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
        while window.underWay > 0 || unsentFrom < unsent.count {
            let before = window.deliveries
            flush()
            try poll(timeoutMs: 100)
            if window.deliveries > before { idleSince = Machine.now() }
            guard Machine.now() - idleSince < Self.stallNanoseconds else {
                throw BenchmarkError.stalled(missing: UInt64(window.underWay))
            }
        }
    }

    private func publishDue(_ schedule: inout Schedule, _ now: UInt64) throws {
        while !window.isFull, let time = schedule.next(underWay: window.underWay, now: now) {
            window.publish(at: time)
            unsent += publishFrame
        }
        flush()
    }

    /// All publishes of a moment leave in one call.
    private func flush() {
        guard unsentFrom < unsent.count, let publisher = descriptors.first else { return }
        let sent = unsent.withUnsafeBytes { bytes in
            send(publisher, bytes.baseAddress.map { $0 + unsentFrom }, bytes.count - unsentFrom, CInt(MSG_NOSIGNAL))
        }
        if sent > 0 { unsentFrom += sent }
        if unsentFrom == unsent.count {
            unsent.removeAll(keepingCapacity: true)
            unsentFrom = 0
        }
    }

    @discardableResult
    private func poll(timeoutMs: CInt) throws -> Int {
        let count = epoll_wait(epoll, &events, CInt(Self.eventsMax), unsentFrom < unsent.count ? min(timeoutMs, 1) : timeoutMs)
        guard count > 0 else { return 0 }
        for index in 0..<Int(count) { try receive(Int(events[index].data.u64)) }
        return Int(count)
    }

    private func receive(_ connection: Int) throws {
        let received = recv(descriptors[connection], inbox, Self.receiveBytes, 0)
        if received < 0, errno == EAGAIN || errno == EINTR { return }
        guard received > 0 else { throw BenchmarkError.connectionsLost(1) }
        receivedBytes += UInt64(received)
        let deliveries = counters[connection].count(UnsafeRawBufferPointer(start: inbox, count: received))
        guard !counters[connection].isBroken else { throw BenchmarkError.connectionsLost(1) }
        for _ in 0..<counters[connection].takePings() { try LoadSocket.sendAll(descriptors[connection], Dialect.pong()) }
        guard deliveries > 0, !isSettling else { return }
        guard window.deliver(deliveries, to: connection, at: Machine.now()) else {
            throw BenchmarkError.protocolFailed("more deliveries than messages")
        }
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
