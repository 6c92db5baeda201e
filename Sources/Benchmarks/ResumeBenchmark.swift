import MeshCore
import SwiftProtobuf
import Wire

/// Measures how many sessions a second resume and are given what they have missed: connect, hello with `resume`, welcome, every missed message,
/// close. Blocks the thread that runs it.
public struct ResumeBenchmark {
    public struct Options: Sendable {
        /// Rooms that the sessions come from, one case each.
        public var rooms = [1, 100]
        /// Messages that each of them has missed.
        public var missed = 100
        /// Sessions that resume at once.
        public var concurrency = 32
        public var payloadBytes = 128
        public var encoding = FrameEncoding.json
        public var seconds = 3.0
        public var warmUpSeconds = 0.5
        public var rounds = 3
        public init() {}
    }

    /// Users who come and go in turn.
    private static let users = 1000

    private let options: Options
    private let host: BenchmarkHost

    public init(options: Options, host: BenchmarkHost) {
        self.options = options
        self.host = host
    }

    public func run() throws -> ResumeReport {
        Machine.raiseDescriptorLimit()
        let server = try host.start(.relayWithRedis)
        defer { server.stop() }
        let tokens = try (0..<Self.users).map { try server.token(user: "user-\($0)") }
        var report = ResumeReport(
            missed: options.missed, concurrency: options.concurrency, payloadBytes: options.payloadBytes, encoding: "\(options.encoding)",
            secondsPerRun: options.seconds, processors: Machine.allowedProcessors().count)
        for count in options.rooms {
            host.progress("\(count) room(s): \(count * options.missed) messages")
            let places = try fill(count, server, token: tokens[0])
            for round in 1...max(1, options.rounds) {
                host.progress("\(count) room(s), round \(round)")
                report.runs.append(try measure(places, server, tokens))
            }
        }
        return report
    }

    private var dialect: Dialect { Dialect(kind: .relay(.webSocket, options.encoding, .home), payloadBytes: options.payloadBytes) }

    private func target(_ server: ServerProcess) -> LoadTarget { LoadTarget(host: "127.0.0.1", port: server.address.port) }

    // MARK: What is missed

    /// Publishes to each room one message that has been seen and those that are missed.
    private func fill(_ count: Int, _ server: ServerProcess, token: String) throws -> [ResumeWorker.Place] {
        let connection = try LoadConnection(dialect, target: target(server), number: 0, tls: nil, inbox: LoadInbox())
        let session = try connection.openSession()
        try connection.ask(try dialect.hello(token: token, device: "publisher"), id: 1, on: session)
        var places: [ResumeWorker.Place] = []
        for number in 0..<count {
            let room = "bench-\(count)-\(number)"
            var positions: [RelayPosition] = []
            let message = try dialect.publish(to: room, id: 2)
            for _ in 0...options.missed {
                try connection.converse(message, on: session) { frame in
                    if frame.id == 2 { positions.append(frame.published.position) }
                    return frame.id == 2
                }
            }
            places.append(ResumeWorker.Place(room: room, seen: positions[0], missed: Array(positions.dropFirst())))
        }
        return places
    }

    // MARK: One run

    private func measure(_ places: [ResumeWorker.Place], _ server: ServerProcess, _ tokens: [String]) throws -> ResumeReport.Run {
        let workers = Workers(concurrency: options.concurrency, seconds: options.seconds, warmUpSeconds: options.warmUpSeconds)
        let (times, used) = try workers.measure(server, tokens: tokens) { [dialect, target = target(server)] number in
            var worker = ResumeWorker(dialect, target: target, number: number, places: places)
            return { token in try worker.resume(token: token) }
        }
        return ResumeReport.Run(rooms: places.count, missed: options.missed, times, used)
    }
}

/// Resumes again and again, one session at a time. Lives on one thread.
struct ResumeWorker {
    struct Place: Sendable {
        var room: String
        /// The last position that was seen.
        var seen: RelayPosition
        var missed: [RelayPosition]
    }

    private let dialect: Dialect
    private let target: LoadTarget
    private let number: Int
    private let places: [Place]
    private let inbox = LoadInbox()
    private var turn: Int

    init(_ dialect: Dialect, target: LoadTarget, number: Int, places: [Place]) {
        self.dialect = dialect
        self.target = target
        self.number = number
        self.places = places
        turn = number
    }

    /// Ends when the last missed message has come. Throws if one is lost, comes twice or out of order.
    mutating func resume(token: String) throws {
        let place = places[turn % places.count]
        turn += 1
        let connection = try LoadConnection(dialect, target: target, number: number, tls: nil, inbox: inbox)
        let session = try connection.openSession()
        let ask = RelayResume.with { ($0.room, $0.position) = (place.room, place.seen) }
        var left = place.missed[...]
        try connection.converse(try dialect.hello(token: token, device: "device-\(number)", resume: [ask]), on: session) { frame in
            switch frame.frame {
            case .welcome(let welcome): try Self.check(welcome, place)
            case .gap: throw BenchmarkError.protocolFailed("a gap in \(place.room)")
            case .message(let message):
                guard message.position == left.popFirst() else {
                    throw BenchmarkError.protocolFailed("not the next message: \(message.position)")
                }
            default: break
            }
            return left.isEmpty
        }
        try connection.closeSession(session)
        try connection.finish()
    }

    private static func check(_ welcome: RelayWelcome, _ place: Place) throws {
        guard let resumed = welcome.resumed.first, resumed.room == place.room, !resumed.hasError, resumed.recovered || resumed.pending
        else {
            throw BenchmarkError.protocolFailed("\(place.room) was not resumed: \(welcome.resumed)")
        }
    }
}
