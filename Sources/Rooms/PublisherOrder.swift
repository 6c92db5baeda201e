import DequeModule
import MeshCore

/// The root's half of promise P1's publisher order: the edge numbers the publishes of a session to a room, and the root takes only
/// the next one. A repeat of a number that was taken goes on too: its key finds the message in the log.
public struct PublisherOrder<Stream: Hashable & Sendable>: Sendable {
    private struct State: Sendable {
        var next: UInt64
        /// What is below has an outcome or was given up: nobody waits for it.
        var base: UInt64
        var usedAt: Instant
    }

    private var states: [Stream: State] = [:]
    private let streamsMax: Int

    /// - Parameter streamsMax: at the bound the streams that were idle longest are forgotten; they start again at their base.
    public init(streamsMax: Int = 10_000) { self.streamsMax = streamsMax }

    /// Whether a publish is taken.
    ///
    /// - Parameter base: the lowest number that the edge still waits for. A gap below it is what the edge gave up: it is not taken any
    ///   more if it comes late, since something later may have been.
    public mutating func admit(_ stream: Stream, number: UInt64, base: UInt64, now: Instant) -> Bool {
        guard var state = states[stream] else {
            guard number == base else { return false }
            makeRoom()
            states[stream] = State(next: number + 1, base: base, usedAt: now)
            return true
        }
        state.base = max(state.base, base)
        state.usedAt = now
        state.next = max(state.next, state.base)
        let isTaken = number >= state.base && number <= state.next
        if isTaken, number == state.next { state.next += 1 }
        states[stream] = state
        return isTaken
    }

    /// `number` was taken but could not be appended: nothing later of this stream may pass before the edge has given it up or
    /// repeated it.
    public mutating func failed(_ stream: Stream, number: UInt64) {
        guard let state = states[stream], state.next > number, number >= state.base else { return }
        states[stream]?.next = number
    }

    private mutating func makeRoom() {
        guard states.count >= streamsMax else { return }
        let oldest = states.sorted { $0.value.usedAt < $1.value.usedAt }.prefix(streamsMax / 4)
        for (stream, _) in oldest { states[stream] = nil }
    }
}
