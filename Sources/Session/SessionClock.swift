import MeshCore

/// When a session is too quiet, on either side. Any received bytes count as life.
///
/// Legal moves: awaiting hello → active → closed; awaiting hello → closed.
public struct SessionClock: Hashable, Sendable {
    public enum Verdict: Hashable, Sendable {
        case fine
        /// Say something so that the client knows that we live; on WebSocket, a ping.
        case ping
        case close(CloseCode)
    }

    private enum Phase: Hashable, Sendable { case awaitingHello, active }

    private var phase: Phase = .awaitingHello
    private var heardAt: Instant
    private var spokeAt: Instant
    private var pingedAt: Instant
    private var limit: TimeSpan

    public init(openedAt: Instant, helloTimeout: TimeSpan) {
        heardAt = openedAt
        spokeAt = openedAt
        pingedAt = openedAt
        limit = helloTimeout
    }

    public mutating func started(heartbeat: TimeSpan, now: Instant) {
        phase = .active
        limit = heartbeat
        heardAt = now
        spokeAt = now
        pingedAt = now
    }

    public mutating func heard(now: Instant) {
        if phase == .active { heardAt = now }
    }

    public mutating func spoke(now: Instant) { spokeAt = now }

    /// The ping that `check` asked for was sent.
    public mutating func pinged(now: Instant) {
        pingedAt = now
        spokeAt = now
    }

    /// Silence of 1.5 heartbeats ends the session; one heartbeat of silence of either side is answered by one ping.
    public func check(now: Instant) -> Verdict {
        switch phase {
        case .awaitingHello:
            return now - heardAt >= limit ? .close(.helloTimeout) : .fine
        case .active:
            if now - heardAt >= limit * 3 / 2 { return .close(.heartbeatMissed) }
            return now - max(heardAt, pingedAt) >= limit || now - spokeAt >= limit ? .ping : .fine
        }
    }
}
