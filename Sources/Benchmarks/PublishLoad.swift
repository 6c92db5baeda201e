import CLinux
import Glibc

/// One thread and many sessions that publish: each keeps a number of publishes to its room under way and sends the next when one was
/// acknowledged. A session's acknowledgements come in its sending order, so the oldest time of sending is that of the next acknowledgement.
final class PublishLoad {
    private static let eventsMax = 512
    private static let stallNanoseconds: UInt64 = 5_000_000_000
    private static let waitMs: CInt = 100

    private struct Session {
        var connection: LoadConnection
        var message: [UInt8]
        /// When those under way were sent, oldest first.
        var sentAt: [UInt64] = []
        var oldest = 0

        var underWay: Int { sentAt.count - oldest }

        mutating func send(_ count: Int, now: UInt64) throws {
            guard count > 0 else { return try connection.flush() }
            sentAt.append(contentsOf: repeatElement(now, count: count))
            try connection.send(Array(repeatElement(message, count: count).joined()), on: 0)
        }

        /// The time of sending; nil if nothing is under way.
        mutating func acknowledged() -> UInt64? {
            guard underWay > 0 else { return nil }
            defer {
                oldest += 1
                if oldest == sentAt.count || oldest > 4096 {
                    sentAt.removeFirst(oldest)
                    oldest = 0
                }
            }
            return sentAt[oldest]
        }
    }

    private let epoll: CInt
    private let inbox = LoadInbox()
    private let window: Int
    private var sessions: [Session] = []
    private var latency = Histogram()
    private(set) var acknowledged: UInt64 = 0
    private var events = [epoll_event](repeating: epoll_event(), count: eventsMax)

    /// - Parameters:
    ///   - rooms: sessions are spread over them.
    ///   - window: publishes under way of each session.
    init(dialect: Dialect, target: LoadTarget, sessions count: Int, rooms: [String], window: Int, token: (Int) throws -> String) throws {
        epoll = epoll_create1(0)
        guard epoll >= 0 else { throw BenchmarkError.connectFailed("epoll_create1") }
        self.window = window
        for number in 0..<count {
            let connection = try LoadConnection(dialect, target: target, number: number, tls: nil, inbox: inbox)
            let session = try connection.openSession()
            try connection.ask(try dialect.hello(token: try token(number), device: "device-\(number)"), id: 1, on: session)
            let message = try dialect.publish(to: rooms[number % rooms.count], id: 2)
            try connection.ask(message, id: 2, on: session)
            acknowledged += 1
            connection.becomeNonBlocking()
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(number)
            epoll_ctl(epoll, EPOLL_CTL_ADD, connection.descriptor, &event)
            sessions.append(Session(connection: connection, message: message))
        }
    }

    deinit { close(epoll) }

    // MARK: Traffic

    /// Publishes for a time, and then lets what is under way be acknowledged. The latencies are those of the whole time.
    func run(seconds: Double) throws -> (acknowledged: UInt64, seconds: Double, latency: Histogram) {
        latency = Histogram()
        let (begun, before) = (Machine.now(), acknowledged)
        for index in sessions.indices { try sessions[index].send(window, now: begun) }
        let end = begun + UInt64(seconds * 1e9)
        while Machine.now() < end { try poll(goesOn: true) }
        let result = (acknowledged - before, Double(Machine.now() - begun) / 1e9, latency)
        while sessions.contains(where: { $0.underWay > 0 }) { try poll(goesOn: false) }
        return result
    }

    private func poll(goesOn: Bool) throws {
        let quietSince = Machine.now()
        var count: CInt = 0
        while count <= 0 {
            count = epoll_wait(epoll, &events, CInt(Self.eventsMax), Self.waitMs)
            for index in sessions.indices where sessions[index].connection.hasUnsent { try sessions[index].connection.flush() }
            guard Machine.now() - quietSince < Self.stallNanoseconds else {
                throw BenchmarkError.stalled(missing: UInt64(sessions.reduce(0) { $0 + $1.underWay }))
            }
        }
        for index in 0..<Int(count) { try receive(Int(events[index].data.u64), goesOn: goesOn) }
    }

    private func receive(_ number: Int, goesOn: Bool) throws {
        let before = acknowledged
        let connection = sessions[number].connection
        _ = try connection.countReceived { _, count in
            let now = Machine.now()
            for _ in 0..<count {
                guard let sentAt = sessions[number].acknowledged() else {
                    throw BenchmarkError.protocolFailed("more answers than publishes")
                }
                latency.record(now - sentAt)
                acknowledged += 1
            }
        }
        if goesOn { try sessions[number].send(Int(acknowledged - before), now: Machine.now()) }
    }
}
