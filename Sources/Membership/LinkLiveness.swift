import MeshCore

/// Whether the other end of a link still answers, and how far away it is. Any received bytes count as life; the round
/// trip is measured with this process's own clock, by the pong that carries the ping's number.
public struct LinkLiveness: Sendable {
    public enum TickResult: Hashable, Sendable {
        case ping(seq: UInt64)
        case silent(for: TimeSpan)
    }

    /// Pings whose pong may still come. Above it the oldest is forgotten.
    static let outstandingMax = 16

    public let pingEvery: TimeSpan
    public let silence: TimeSpan
    public private(set) var roundTrip = RoundTrip()
    private var lastHeard: Instant
    private var lastTick: Instant
    private var nextSeq: UInt64 = 1
    private var outstanding: [(seq: UInt64, sentAt: Instant)] = []

    public init(pingEvery: TimeSpan, silence: TimeSpan, now: Instant) {
        precondition(silence > pingEvery, "a link is pinged every \(pingEvery) and silent after \(silence)")
        self.pingEvery = pingEvery
        self.silence = silence
        lastHeard = now
        lastTick = now
    }

    public mutating func bytesReceived(now: Instant) { lastHeard = now }

    /// To be called every `pingEvery`. A tick that comes late means that this process did not run, and then the peer's
    /// bytes wait in the kernel: the time lost is not held against the peer (Lifeguard, section IV.A, local health).
    public mutating func tick(now: Instant) -> TickResult {
        let late = (now - lastTick).nanoseconds - pingEvery.nanoseconds
        if late > pingEvery.nanoseconds { lastHeard = min(now, lastHeard + TimeSpan(nanoseconds: late)) }
        lastTick = now
        let quiet = now - lastHeard
        guard quiet < silence else { return .silent(for: quiet) }
        return .ping(seq: notePing(now: now))
    }

    /// False for a number that was not asked, was answered already or is forgotten.
    public mutating func pongReceived(seq: UInt64, now: Instant) -> Bool {
        guard let index = outstanding.firstIndex(where: { $0.seq == seq }) else { return false }
        roundTrip.record(now - outstanding[index].sentAt)
        outstanding.removeFirst(index + 1)
        return true
    }

    private mutating func notePing(now: Instant) -> UInt64 {
        if outstanding.count == Self.outstandingMax { outstanding.removeFirst() }
        defer { nextSeq += 1 }
        outstanding.append((nextSeq, now))
        return nextSeq
    }
}

/// The last round trip and a smoothed one (RFC 6298 section 2: seven eighths of the old, one eighth of the new).
public struct RoundTrip: Hashable, Sendable {
    public private(set) var last: TimeSpan?
    public private(set) var smoothed: TimeSpan?

    public init() {}

    public mutating func record(_ sample: TimeSpan) {
        last = sample
        smoothed = smoothed.map { ($0 * 7 + sample) / 8 } ?? sample
    }
}
