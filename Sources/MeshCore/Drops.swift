/// Every reason for which Heliograph lets go of something, in one ledger (promise P11). The raw value is the `reason`
/// label of `heliograph_drops_total`.
public enum DropReason: String, CaseIterable, Sendable {
    // Connections and sessions.
    case helloTimeout = "hello_timeout"
    case heartbeatMissed = "heartbeat_missed"
    case malformedFrame = "malformed_frame"
    case frameTooLarge = "frame_too_large"
    case unauthenticated = "unauthenticated"
    case tokenExpired = "token_expired"
    case permissionDenied = "permission_denied"
    case invalidRequest = "invalid_request"
    case protocolError = "protocol_error"
    case handshakeTimeout = "handshake_timeout"
    case badHandshake = "bad_handshake"
    case connectionLimit = "connection_limit"
    case addressLimit = "address_limit"
    case plaintextRefused = "plaintext_refused"
    case tlsFault = "tls_fault"
    case headersTooLarge = "headers_too_large"
    case http2Flood = "http2_flood"
    case callDeadline = "call_deadline"
    case admissionRefused = "admission_refused"
    case slowConsumer = "slow_consumer"
    case graceTableFull = "grace_table_full"
    // What a session that reads too slowly is not sent.
    case ephemeralShed = "ephemeral_shed"
    case typingShed = "typing_shed"
    // The tree.
    case publishQueueFull = "publish_queue_full"
    case publishRate = "publish_rate"
    case publishTimeout = "publish_timeout"
    case noRoute = "no_route"
    case staleGeneration = "stale_generation"
    case stalePosition = "stale_position"
    case outOfSequence = "out_of_sequence"
    case stalePresence = "stale_presence"
    case typingOverBudget = "typing_over_budget"
    case receiptTableFull = "receipt_table_full"
    case receiptUndelivered = "receipt_undelivered"
    case requestTableFull = "request_table_full"
    case userRoomsFull = "user_rooms_full"
    // Links.
    case linkQueueFull = "link_queue_full"
    case linkGarbage = "link_garbage"
    case linkRefused = "link_refused"
    case linkSilent = "link_silent"
    // The store.
    case storeUnavailable = "store_unavailable"
    case storeMirrorSkipped = "store_mirror_skipped"
    case fenced = "fenced"
    // Notifications.
    case pushQueueFull = "push_queue_full"
    case pushUnqueued = "push_unqueued"
    case pushGivenUp = "push_given_up"
    case pushRejected = "push_rejected"
}

/// Counts by reason. A plain value: each owner keeps its own and a scrape adds them up.
public struct DropLedger: Sendable {
    private var counts = [UInt64](repeating: 0, count: DropReason.allCases.count)

    public init() {}

    public mutating func count(_ reason: DropReason, _ times: Int = 1) {
        counts[Self.index[reason] ?? 0] += UInt64(times)
    }

    public subscript(_ reason: DropReason) -> UInt64 { counts[Self.index[reason] ?? 0] }

    public mutating func add(_ other: DropLedger) {
        for index in counts.indices { counts[index] += other.counts[index] }
    }

    private static let index = Dictionary(uniqueKeysWithValues: DropReason.allCases.enumerated().map { ($1, $0) })
}
