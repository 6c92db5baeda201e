import MeshCore
import SwiftProtobuf
import Wire

/// Measures how many changes of its members a second a room takes, by the number of those who stay: sessions join and leave it again and again
/// while somebody is told of them. Blocks the thread that runs it.
public struct PresenceBenchmark {
    public struct Options: Sendable {
        /// Members who stay, one case each.
        public var members = [10, 1_000, 10_000]
        /// Sessions that join and leave.
        public var concurrency = 16
        public var encoding = FrameEncoding.json
        public var seconds = 3.0
        public var warmUpSeconds = 1.0
        public var rounds = 3
        public init() {}
    }

    private let options: Options
    private let host: BenchmarkHost

    public init(options: Options, host: BenchmarkHost) {
        self.options = options
        self.host = host
    }

    public func run() throws -> PresenceReport {
        Machine.raiseDescriptorLimit()
        var report = PresenceReport(
            concurrency: options.concurrency, encoding: "\(options.encoding)", secondsPerRun: options.seconds,
            processors: Machine.allowedProcessors().count)
        for members in options.members { try measure(members, &report) }
        return report
    }

    private var dialect: Dialect { Dialect(kind: .relay(.webSocket, options.encoding, .ephemeral), payloadBytes: 0) }

    /// A relay of its own for each case, so that its memory is that of this room.
    private func measure(_ members: Int, _ report: inout PresenceReport) throws {
        let server = try host.start(.relayWithRedis)
        defer { server.stop() }
        guard let port = server.address.redisPort else { throw BenchmarkError.serverFailed("the relay has no Redis") }
        let redis = try BenchmarkRedis(port: port)
        let target = LoadTarget(host: "127.0.0.1", port: server.address.port)
        let crowd = PresenceCrowd(dialect, target: target, tokens: try (0..<members).map { try server.token(user: "member-\($0)") })
        defer { crowd.stop() }
        report.memory.append(try fill(crowd, members, server))
        let observer = try PresenceObserver(dialect, target: target, token: try server.token(user: "observer"))
        defer { observer.stop() }
        let guests = try (0..<options.concurrency).map { try server.token(user: "guest-\($0)") }
        for round in 1...max(1, options.rounds) {
            host.progress("\(members) members, round \(round)")
            report.runs.append(try measure(members, server, redis, observer, guests))
            try observer.waitFor(count: members + 1)
        }
    }

    private func fill(_ crowd: PresenceCrowd, _ members: Int, _ server: ServerProcess) throws -> PresenceReport.Memory {
        host.progress("\(members) members")
        let empty = server.residentBytes
        try crowd.connect()
        let connected = server.residentBytes
        try crowd.join()
        let joined = server.residentBytes
        return PresenceReport.Memory(
            members: members, bytesPerSession: Double(connected - empty) / Double(members),
            bytesPerMember: Double(joined - connected) / Double(members))
    }

    // MARK: One run

    private func measure(
        _ members: Int, _ server: ServerProcess, _ redis: BenchmarkRedis, _ observer: PresenceObserver, _ tokens: [String]
    ) throws -> PresenceReport.Run {
        let workers = Workers(concurrency: options.concurrency, seconds: options.seconds, warmUpSeconds: options.warmUpSeconds)
        let target = LoadTarget(host: "127.0.0.1", port: server.address.port)
        let changed = PresenceTally()
        let before = (commands: try redis.commands(), calls: try redis.scriptCalls(), pushes: observer.pushes)
        let (times, used) = try workers.measure(server, tokens: tokens) { [dialect] number in
            var guest = PresenceGuest(dialect, target: target, number: number, token: tokens[number])
            return { _ in
                try guest.joinAndLeave()
                changed.add(2)
            }
        }
        return PresenceReport.Run(
            members: members, times, used, changes: changed.count, redisCalls: try redis.scriptCalls() - before.calls,
            redisCommands: try redis.commands() - before.commands, pushes: observer.pushes - before.pushes)
    }
}

extension BenchmarkRedis {
    /// Commands since its start, those within scripts included.
    fileprivate func commands() throws -> Double { try info("stats", "total_commands_processed").flatMap(Double.init) ?? 0 }

    /// Scripts since its start: each is a round trip.
    fileprivate func scriptCalls() throws -> Double {
        let figures = try info("commandstats", "cmdstat_evalsha")?.split(separator: ",") ?? []
        return figures.first { $0.hasPrefix("calls=") }.flatMap { Double($0.dropFirst(6)) } ?? 0
    }
}

extension Dialect {
    /// Any request, with an answer under this id.
    func request(_ id: UInt32, _ body: RelayClientFrame.OneOf_Frame) throws -> [UInt8] {
        try message(
            .with {
                $0.id = id
                $0.frame = body
            })
    }

    func join(presence: Bool = false) throws -> [UInt8] {
        try request(2, .subscribe(.with { ($0.room, $0.presence) = (Self.room, presence) }))
    }

    func leave() throws -> [UInt8] { try request(3, .unsubscribe(.with { $0.room = Self.room })) }
}
