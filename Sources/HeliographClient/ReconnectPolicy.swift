public import MeshCore

/// When and where to come back after a connection was lost.
///
/// Waits grow by jittered back-off and begin anew only after a connection has held for `stableAfter`, so a relay that
/// accepts and drops is not hammered. A goodbye's `afterMs` is the least wait and its `edges` are tried first, in turn
/// with the URL that the application gave. Who began encrypted never goes on in clear text: such edges are passed over.
public struct ReconnectPolicy: Sendable {
    public struct Settings: Hashable, Sendable {
        public var delayMin = TimeSpan.milliseconds(250)
        public var delayMax = TimeSpan.seconds(30)
        public var stableAfter = TimeSpan.seconds(10)
        public init() {}
    }

    public enum Decision: Hashable, Sendable {
        case reconnect(after: TimeSpan, to: RelayURL)
        case stop
    }

    private let origin: RelayURL
    private let settings: Settings
    private var backoff: Backoff
    private var connectedSince: Instant?
    private var candidates: [RelayURL]
    private var nextCandidate = 0

    public init(origin: RelayURL, settings: Settings) {
        self.origin = origin
        self.settings = settings
        backoff = Backoff(least: settings.delayMin, most: settings.delayMax)
        candidates = [origin]
    }

    public mutating func connected(at now: Instant) { connectedSince = now }

    /// A connection, or an attempt at one, has ended.
    ///
    /// - Parameter least: the wait that the relay has asked for beside its goodbye.
    public mutating func lost(
        _ cause: DisconnectCause, at now: Instant, notBefore least: TimeSpan = .zero, using random: inout some RandomNumberGenerator
    ) -> Decision {
        let since = connectedSince
        connectedSince = nil
        guard cause.allowsReturn else { return .stop }
        if let since, now - since >= settings.stableAfter { backoff.reset() }
        if since != nil { restartCandidates() }
        let delay = max(adopt(cause), least, backoff.next(using: &random))
        defer { nextCandidate = (nextCandidate + 1) % candidates.count }
        return .reconnect(after: delay, to: candidates[nextCandidate])
    }

    private mutating func restartCandidates() {
        candidates = [origin]
        nextCandidate = 0
    }

    /// Takes the edges of a goodbye for candidates; the ones that are no URL of ours, or less secure than ours, are passed over.
    private mutating func adopt(_ cause: DisconnectCause) -> TimeSpan {
        guard case .goodbye(_, _, let afterMs, let edges) = cause else { return .zero }
        let usable = edges.compactMap { edge in try? RelayURL(edge) }.filter { $0.isEncrypted || !origin.isEncrypted }
        if !usable.isEmpty {
            candidates = usable + [origin]
            nextCandidate = 0
        }
        return .milliseconds(Int(afterMs))
    }
}
