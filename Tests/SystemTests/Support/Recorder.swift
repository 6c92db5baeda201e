import Dispatch
import Synchronization
import Wire

/// Everything that a client has received, in its order.
struct ClientRecord: Sendable {
    var frames: [RelayServerFrame] = []
    var times: [ContinuousClock.Instant] = []
    /// Of the server's close frame.
    var closeCode: UInt16?
    var closeReason = ""
    /// The TCP connection is gone.
    var isClosed = false
    /// Bytes that came before, or instead of, an upgrade.
    var plainBytes: [UInt8] = []
    var isUpgraded = false
    var pings = 0
}

/// A record that can be waited for.
final class Recorder: Sendable {
    private struct Waiter {
        var check: @Sendable (ClientRecord) -> Bool
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var record = ClientRecord()
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
    }

    private let state = Mutex(State())
    /// Takes the frames in place of the record: whoever reads for long and much keeps nothing twice.
    private let tap: (@Sendable ([RelayServerFrame]) -> Void)?

    init(tap: (@Sendable ([RelayServerFrame]) -> Void)? = nil) { self.tap = tap }

    func received(_ frames: [RelayServerFrame]) {
        if let tap { return tap(frames) }
        let now = ContinuousClock.now
        update { record in
            record.frames += frames
            record.times += Array(repeating: now, count: frames.count)
        }
    }

    var record: ClientRecord { state.withLock { $0.record } }

    func update(_ change: (inout ClientRecord) -> Void) {
        let ready = state.withLock { state -> [Waiter] in
            change(&state.record)
            let met = state.waiters.filter { $0.value.check(state.record) }
            for number in met.keys { state.waiters[number] = nil }
            return Array(met.values)
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    /// Returns when `check` holds, or when the time is over.
    func wait(within limit: Duration, _ check: @escaping @Sendable (ClientRecord) -> Bool) async {
        await withCheckedContinuation { continuation in
            let number = state.withLock { state -> Int? in
                guard !check(state.record) else { return nil }
                state.nextWaiter += 1
                state.waiters[state.nextWaiter] = Waiter(check: check, continuation: continuation)
                return state.nextWaiter
            }
            guard let number else { return continuation.resume() }
            let (seconds, attoseconds) = limit.components
            let milliseconds = Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) {
                self.state.withLock { $0.waiters.removeValue(forKey: number) }?.continuation.resume()
            }
        }
    }
}
