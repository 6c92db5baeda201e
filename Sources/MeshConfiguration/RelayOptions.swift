import MeshCore

/// Every limit and timing that a file may set, with its range: reading, checking and the reference use this one table.
enum RelayOptions {
    typealias LimitPath = any WritableKeyPath<RelayLimits, Int> & Sendable
    typealias TimingPath = any WritableKeyPath<RelayTimings, TimeSpan> & Sendable

    struct Limit: Sendable {
        let name: String
        let keyPath: LimitPath
        let range: ClosedRange<Int>
        /// Sizes may be written with a unit.
        let isBytes: Bool
    }

    struct Timing: Sendable {
        let name: String
        let keyPath: TimingPath
        let range: ClosedRange<TimeSpan>
    }

    static let limits: [Limit] = [
        bytes("maxFrameBytes", \.maxFrameBytes, 1 << 10, 1 << 20),
        bytes("maxHelloBytes", \.maxHelloBytes, 1 << 10, 16 << 20),
        bytes("maxServerFrameBytes", \.maxServerFrameBytes, 1 << 10, 16 << 20),
        count("connectionsMax", \.connectionsMax, 1, 10_000_000),
        count("connectionsPerAddressMax", \.connectionsPerAddressMax, 1, 10_000_000),
        count("hellosPerSecondMax", \.hellosPerSecondMax, 1, 1_000_000),
        count("backgroundStoreCallsMax", \.backgroundStoreCallsMax, 1, 5_000),
        count("streamsPerConnectionMax", \.streamsPerConnectionMax, 1, 100_000),
        bytes("headerBytesMax", \.headerBytesMax, 1 << 10, 1 << 20),
        count("headersMax", \.headersMax, 10, 10_000),
        count("streamResetsPerSecondMax", \.streamResetsPerSecondMax, 1, 100_000),
        count("controlFramesPerSecondMax", \.controlFramesPerSecondMax, 1, 100_000),
        count("subscriptionsPerSessionMax", \.subscriptionsPerSessionMax, 1, 100_000),
        count("watchedUsersPerSessionMax", \.watchedUsersPerSessionMax, 1, 100_000),
        count("lingeringSessionsMax", \.lingeringSessionsMax, 1, 10_000_000),
        count("publishesInFlightPerSessionMax", \.publishesInFlightPerSessionMax, 1, 1_000_000),
        bytes("outboxBytesMax", \.outboxBytesMax, 64 << 10, 1 << 30),
        bytes("linkQueueBytesMax", \.linkQueueBytesMax, 1 << 20, 4 << 30),
        bytes("meshFrameBytesMax", \.meshFrameBytesMax, 64 << 10, 64 << 20),
        count("publishQueuePerRoomMax", \.publishQueuePerRoomMax, 1, 1_000_000),
        bytes("publishBytesPerRoomMax", \.publishBytesPerRoomMax, 64 << 10, 1 << 30),
        count("tailMessagesMax", \.tailMessagesMax, 1, 100_000),
        bytes("tailBytesMax", \.tailBytesMax, 1 << 10, 1 << 30),
        bytes("tailBytesPerCellMax", \.tailBytesPerCellMax, 1 << 10, 64 << 30),
        count("publishesPerSecondMax", \.publishesPerSecondMax, 1, 10_000_000),
        count("requestsInFlightMax", \.requestsInFlightMax, 1, 10_000_000),
        count("receiptUsersMax", \.receiptUsersMax, 1, 5_000),
        count("dedupKeysPerRoomMax", \.dedupKeysPerRoomMax, 1, 10_000_000),
        count("roomsPerUserMax", \.roomsPerUserMax, 1, 1_000_000),
    ]

    static let timings: [Timing] = [
        time("handshakeTimeout", \.handshakeTimeout, .milliseconds(100), .seconds(60)),
        time("helloTimeout", \.helloTimeout, .milliseconds(100), .seconds(60)),
        time("connectionIdle", \.connectionIdle, .milliseconds(100), .seconds(3_600)),
        time("writeTimeout", \.writeTimeout, .milliseconds(100), .seconds(300)),
        time("outboxStall", \.outboxStall, .milliseconds(100), .seconds(600)),
        time("heartbeatDefault", \.heartbeatDefault, .seconds(5), .seconds(60)),
        time("linkPing", \.linkPing, .milliseconds(10), .seconds(30)),
        time("linkSilence", \.linkSilence, .milliseconds(50), .seconds(120)),
        time("linkHandshakeTimeout", \.linkHandshakeTimeout, .milliseconds(100), .seconds(60)),
        time("redialLeast", \.redialLeast, .milliseconds(1), .seconds(60)),
        time("redialMost", \.redialMost, .milliseconds(1), .seconds(300)),
        time("nodeDown", \.nodeDown, .milliseconds(10), .seconds(60)),
        time("presenceGrace", \.presenceGrace, .milliseconds(10), .seconds(60)),
        time("sessionGrace", \.sessionGrace, .milliseconds(0), .seconds(60)),
        time("presenceCoalesce", \.presenceCoalesce, .milliseconds(1), .seconds(5)),
        time("typingTTL", \.typingTTL, .milliseconds(100), .seconds(60)),
        time("interestLinger", \.interestLinger, .milliseconds(0), .seconds(300)),
        time("publishDeadline", \.publishDeadline, .milliseconds(100), .seconds(30)),
        time("requestDeadline", \.requestDeadline, .milliseconds(100), .seconds(30)),
        time("storeDeadline", \.storeDeadline, .milliseconds(10), .seconds(30)),
        time("nodeLease", \.nodeLease, .milliseconds(100), .seconds(300)),
        time("drain", \.drain, .milliseconds(0), .seconds(3_600)),
    ]

    private static func count(
        _ name: String, _ keyPath: LimitPath, _ least: Int, _ most: Int
    ) -> Limit {
        Limit(name: name, keyPath: keyPath, range: least...most, isBytes: false)
    }

    private static func bytes(
        _ name: String, _ keyPath: LimitPath, _ least: Int, _ most: Int
    ) -> Limit {
        Limit(name: name, keyPath: keyPath, range: least...most, isBytes: true)
    }

    private static func time(
        _ name: String, _ keyPath: TimingPath, _ least: TimeSpan, _ most: TimeSpan
    ) -> Timing {
        Timing(name: name, keyPath: keyPath, range: least...most)
    }

    static func readLimits(_ section: inout Section) -> RelayLimits {
        var limits = RelayLimits()
        for option in Self.limits {
            let parse = option.isBytes ? ScalarParsers.bytes(option.range) : ScalarParsers.integer(option.range)
            if let read = section.optional(option.name, parse) { limits[keyPath: option.keyPath] = read.value }
        }
        return limits
    }

    static func readTimings(_ section: inout Section) -> RelayTimings {
        var timings = RelayTimings()
        for option in Self.timings {
            let read = section.optional(option.name, ScalarParsers.timeSpan(option.range))
            if let read { timings[keyPath: option.keyPath] = read.value }
        }
        return timings
    }
}
