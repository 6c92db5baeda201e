import Foundation
import Synchronization

/// A thread that starts children and never ends. The kernel ties a child's parent-death signal to the *thread* that
/// made it, not to the process, and threads of a pool end when they have nothing to do.
final class SpawnThread: Sendable {
    static let shared = SpawnThread()

    private let jobs = Mutex<[@Sendable () -> Void]>([])
    private let waiting = DispatchSemaphore(value: 0)

    private init() {
        let thread = Thread { self.obey() }
        thread.name = "spawn"
        thread.start()
    }

    private func obey() -> Never {
        while true {
            waiting.wait()
            jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }?()
        }
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            jobs.withLock { $0.append { continuation.resume(returning: body()) } }
            waiting.signal()
        }
    }
}
