import MeshCore

/// Counts what a peer makes us do for nothing. Every kind has a bucket of tokens that fills with time.
struct FloodGuard {
    enum Kind {
        /// PING, SETTINGS, PRIORITY, empty DATA.
        case control
        /// RST_STREAM in either direction.
        case reset
        case windowUpdate
    }

    /// A burst may be this many times what a second allows.
    static let burstFactor = 10

    private var control: TokenBucket
    private var resets: TokenBucket
    private var windowUpdates: TokenBucket

    init(_ limits: HTTP2Limits, now: Instant) {
        control = Self.bucket(limits.controlFramesPerSecondMax, now)
        resets = Self.bucket(limits.resetsPerSecondMax, now)
        windowUpdates = Self.bucket(limits.windowUpdatesPerSecondMax, now)
    }

    private static func bucket(_ perSecond: Int, _ now: Instant) -> TokenBucket {
        TokenBucket(perSecond: perSecond, burst: perSecond * burstFactor, now: now)
    }

    /// False when there was one too many.
    mutating func count(_ kind: Kind, now: Instant) -> Bool {
        switch kind {
        case .control: control.take(now: now)
        case .reset: resets.take(now: now)
        case .windowUpdate: windowUpdates.take(now: now)
        }
    }

    /// A DATA frame that we sent may be answered with a PING and two WINDOW_UPDATEs: some clients measure their path with each, and open
    /// windows as they read.
    mutating func sentData(bytes: Int) {
        control.add(1)
        windowUpdates.add(2 + Double(bytes) / 1024)
    }
}
