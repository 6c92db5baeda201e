import Synchronization

/// How often the process was asked to stop: the first time it does so in order, then at once.
final class StopCounter: Sendable {
    private let asked = Mutex(0)

    func next() -> Int {
        asked.withLock {
            $0 += 1
            return $0
        }
    }
}
