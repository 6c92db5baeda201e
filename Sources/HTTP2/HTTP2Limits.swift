/// What one HTTP/2 connection may cost. Each number stops an attack that is known by name.
public struct HTTP2Limits: Hashable, Sendable {
    /// Streams that the peer may have open at once. One more is refused with REFUSED_STREAM until the peer knows the number, and ends the
    /// connection after that: the peer has lost count.
    public var streamsMax = 256
    /// Names, values and 32 bytes for each field of one header block, as RFC 9113, section 6.5.2 counts: HPACK bombs.
    public var headerBytesMax = 16 << 10
    /// Fields of one header block.
    public var headersMax = 100
    /// CONTINUATION frames of one header block: CONTINUATION floods (CVE-2024-27316).
    public var continuationsMax = 8
    /// PING, SETTINGS, PRIORITY and empty DATA frames a second, beside one for each DATA frame that we sent; ten times as many in a burst: PING and SETTINGS floods (CVE-2019-9512, -9515).
    public var controlFramesPerSecondMax = 50
    /// Streams a second that either side resets; ten times as many in a burst: rapid reset (CVE-2023-44487, CVE-2025-8671).
    public var resetsPerSecondMax = 100
    /// WINDOW_UPDATE frames a second, beside two for each DATA frame and one for each kilobyte that we sent.
    public var windowUpdatesPerSecondMax = 100
    /// Bytes of one stream that the peer may send before they are consumed.
    public var streamWindowBytes = 128 << 10
    /// Bytes of all streams together.
    public var connectionWindowBytes = 1 << 20

    public init() {}
}
