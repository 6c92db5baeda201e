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

        mutating func admit(_ number: UInt64, base newBase: UInt64, now: Instant) -> Bool {
            base = max(base, newBase)
            usedAt = now
            next = max(next, base)
            guard number >= base, number <= next else { return false }
            if number == next { next += 1 }
            return true
        }
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
        // Looked up once: every publish passes here.
        if let index = states.index(forKey: stream) { return states.values[index].admit(number, base: base, now: now) }
        guard number == base else { return false }
        makeRoom()
        states[stream] = State(next: number + 1, base: base, usedAt: now)
        return true
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
