import Dispatch
import Foundation
import Synchronization

/// Threads that do the same again and again, each by itself, while it is measured how often and how long it takes.
struct Workers {
    var concurrency: Int
    var seconds: Double
    var warmUpSeconds: Double

    /// - Parameters:
    ///   - tokens: handed to the pieces of work in turn.
    ///   - makeWork: called on each thread with its number.
    /// - Returns: the times of the pieces of work, and what they have used.
    func measure(
        _ server: ServerProcess, tokens: [String], _ makeWork: @escaping @Sendable (_ number: Int) -> (_ token: String) throws -> Void
    ) throws -> (times: Histogram, used: Usage) {
        let tally = WorkTally(tokens: tokens)
        let threads = DispatchGroup()
        for number in 0..<concurrency {
            threads.enter()
            Thread.detachNewThread {
                tally.work(makeWork(number))
                threads.leave()
            }
        }
        defer { tally.stop() }
        try pass(warmUpSeconds, threads, tally)
        let before = try Usage(server)
        tally.begin()
        // Nothing would be measured if nobody came through; whoever waits too long fails.
        repeat { try pass(seconds, threads, tally) } while tally.isEmpty
        let times = tally.end()
        let used = try Usage(server).since(before)
        tally.stop()
        threads.wait()
        try tally.check()
        return (times, used)
    }

    /// Lets the threads work for a time. They end early only if all have failed.
    private func pass(_ seconds: Double, _ threads: DispatchGroup, _ tally: WorkTally) throws {
        if threads.wait(timeout: .now() + seconds) == .success { try tally.check() }
    }
}

/// What the workers of one run have done.
private final class WorkTally: Sendable {
    private struct State {
        var isMeasuring = false
        var hasStopped = false
        var times = Histogram()
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
        state.withLock { state in if state.isMeasuring { state.times.record(nanoseconds) } }
    }

    func begin() { state.withLock { $0.isMeasuring = true } }

    /// The times of what has ended since `begin`.
    func end() -> Histogram {
        state.withLock { state in
            state.isMeasuring = false
            return state.times
        }
    }

    var isEmpty: Bool { state.withLock { $0.times.count == 0 } }

    func stop() { state.withLock { $0.hasStopped = true } }

    /// Throws what ended a worker.
    func check() throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}
