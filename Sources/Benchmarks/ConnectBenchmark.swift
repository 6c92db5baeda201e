import Dispatch
import Foundation
import Synchronization
import TLS
import Wire

/// Measures how many clients a second find a session: connect, hello, welcome, close. All routes lead to one relay, and take turns in every
/// round. Blocks the thread that runs it.
public struct ConnectBenchmark {
    public struct Options: Sendable {
        public var routes: [ConnectRoute] = []
        /// Handshakes under way.
        public var concurrency = 32
        public var encoding = FrameEncoding.json
        public var seconds = 2.0
        public var warmUpSeconds = 0.5
        public var rounds = 3
        public init() {}
    }

    /// Users who come and go in turn.
    private static let users = 1000

    private let options: Options
    private let serverArguments: @Sendable (_ server: String, _ processor: Int?) -> [String]
    private let progress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - serverArguments: the arguments with which this same executable runs a `relay`.
    ///   - progress: told what is going on, a line at a time.
    public init(
        options: Options, serverArguments: @escaping @Sendable (_ server: String, _ processor: Int?) -> [String],
        progress: @escaping @Sendable (String) -> Void
    ) {
        self.options = options
        self.serverArguments = serverArguments
        self.progress = progress
    }

    public func run() throws -> ConnectReport {
        Machine.raiseDescriptorLimit()
        let processors = Machine.processorsApart()
        progress("starting the relay")
        let server = try ServerProcess(arguments: serverArguments("relay", processors?.server))
        defer { server.stop() }
        if let processors { Machine.pin(to: processors.load) }
        let tokens = try (0..<Self.users).map { try server.token(user: "user-\($0)") }
        var report = ConnectReport(
            concurrency: options.concurrency, secondsPerRun: options.seconds, serverProcessor: processors?.server,
            loadProcessor: processors?.load)
        for round in 1...max(1, options.rounds) {
            for route in routes {
                progress("\(route.name), round \(round)")
                report.runs.append(try measure(route, server, tokens))
            }
        }
        report.addRatios(to: Self.reference.name)
        return report
    }

    private static let reference = ConnectRoute.door(.webSocket)

    /// The reference first, whether it was asked for or not.
    private var routes: [ConnectRoute] { [Self.reference] + options.routes.filter { $0 != Self.reference } }

    // MARK: One run

    private func measure(_ route: ConnectRoute, _ server: ServerProcess, _ tokens: [String]) throws -> ConnectReport.Run {
        let target = LoadTarget(host: "127.0.0.1", port: server.address.port, trustFile: server.address.trustFile)
        let tls = try target.tlsContext(for: route.door)
        let tally = ConnectTally(tokens: tokens)
        let workers = DispatchGroup()
        for number in 0..<options.concurrency {
            workers.enter()
            Thread.detachNewThread { [encoding = options.encoding] in
                var worker = ConnectWorker(route, encoding: encoding, target: target, tls: tls, number: number)
                tally.work { token in try worker.comeAndGo(token: token) }
                workers.leave()
            }
        }
        defer { tally.stop() }
        try pass(options.warmUpSeconds, workers, tally)
        let before = try Usage(server)
        tally.begin()
        // Nothing would be measured if nobody came through; whoever waits too long fails.
        repeat { try pass(options.seconds, workers, tally) } while tally.isEmpty
        let handshakes = tally.end()
        let used = try Usage(server).since(before)
        tally.stop()
        workers.wait()
        try tally.check()
        return ConnectReport.Run(route: route.name, handshakes: handshakes, used: used)
    }

    /// Lets the workers work for a time. They end early only if all have failed.
    private func pass(_ seconds: Double, _ workers: DispatchGroup, _ tally: ConnectTally) throws {
        if workers.wait(timeout: .now() + seconds) == .success { try tally.check() }
    }
}

/// What the workers of one run have done.
final class ConnectTally: Sendable {
    private struct State {
        var isMeasuring = false
        var hasStopped = false
        var handshakes = Histogram()
        var failure: (any Error)?
    }

    private let tokens: [String]
    private let taken = Atomic<Int>(0)
    private let state = Mutex(State())

    init(tokens: [String]) { self.tokens = tokens }

    /// Repeats the work until it fails or all are stopped.
    func work(_ body: (_ token: String) throws -> Void) {
        var begun = Machine.now()
        do {
            while !state.withLock({ $0.hasStopped }) {
                let number = taken.wrappingAdd(1, ordering: .relaxed).oldValue
                try body(tokens[number % tokens.count])
                let now = Machine.now()
                record(now - begun)
                begun = now
            }
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
        }
    }

    private func record(_ nanoseconds: UInt64) {
        state.withLock { state in if state.isMeasuring { state.handshakes.record(nanoseconds) } }
    }

    func begin() { state.withLock { $0.isMeasuring = true } }

    /// The times of the handshakes that ended since `begin`.
    func end() -> Histogram {
        state.withLock { state in
            state.isMeasuring = false
            return state.handshakes
        }
    }

    var isEmpty: Bool { state.withLock { $0.handshakes.count == 0 } }

    func stop() { state.withLock { $0.hasStopped = true } }

    /// Throws what ended a worker.
    func check() throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}
