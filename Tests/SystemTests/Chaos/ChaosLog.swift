import Foundation
import HistoryChecker
import MeshCore
import Synchronization

/// What all clients of a run log, in one order, from many threads.
final class ChaosLog: Sendable {
    private let history = Mutex(History())
    private let faults = Mutex<[String]>([])
    private let begun = ContinuousClock.now

    func record(_ event: HistoryEvent) {
        // The time is taken under the lock, so that times never go back.
        history.withLock { $0.record(event, at: now) }
    }

    /// What no rule of the checker speaks of and is wrong all the same.
    func complain(_ text: String) { faults.withLock { $0.append("\(now): \(text)") } }

    func setLog(_ messages: [SeenMessage], of room: String) { history.withLock { $0.logs[room] = History.RoomLog(messages) } }

    var snapshot: History { history.withLock { $0 } }
    var complaints: [String] { faults.withLock { $0 } }

    private var now: TimeSpan {
        let (seconds, attoseconds) = (ContinuousClock.now - begun).components
        return .seconds(Int(seconds)) + TimeSpan(nanoseconds: attoseconds / 1_000_000_000)
    }
}

/// The seed of a run: that of the environment, to run it again, or a new one.
enum ChaosSeed {
    static func draw() -> UInt64 {
        let given = ProcessInfo.processInfo.environment["HELIOGRAPH_SEED"].flatMap { UInt64($0) }
        return given ?? UInt64.random(in: 1...999_999_999)
    }
}
