/// Which messages are under way, and how long each took to each connection.
///
/// A message is complete when every connection has received it. Messages arrive in the order of publishing, so a
/// connection's count of deliveries names the message; a lost one would leave the count behind and the window would never
/// move on, which the load generator reports as a stall.
struct DeliveryWindow {
    /// Messages under way at once, at most; the open loop stops publishing there.
    static let capacity = 1 << 16
    /// Of many connections every eighth has its latencies recorded: enough for percentiles, and the load process must not
    /// become the bottleneck.
    private static let sampling = 8
    private static let sampledFrom = 64

    private let connections: Int
    private var received: [UInt64]
    /// How many connections have received exactly that many messages; the lowest of these numbers is `completed`.
    private var connectionsAt: [Int32]
    private var sentAt: [UInt64]
    private(set) var published: UInt64 = 0
    private(set) var completed: UInt64 = 0
    private(set) var deliveries: UInt64 = 0
    var latency = Histogram()

    init(connections: Int) {
        self.connections = connections
        received = [UInt64](repeating: 0, count: connections)
        connectionsAt = [Int32](repeating: 0, count: Self.capacity)
        connectionsAt[0] = Int32(connections)
        sentAt = [UInt64](repeating: 0, count: Self.capacity)
    }

    var underWay: Int { Int(published - completed) }
    /// One place fewer than there are slots: `completed` and `published` must not share one.
    var isFull: Bool { underWay >= Self.capacity - 1 }

    /// - Parameter time: when the message was sent, or in an open loop should have been.
    mutating func publish(at time: UInt64) {
        sentAt[Self.slot(published)] = time
        published += 1
    }

    /// False if more arrived than was ever sent.
    mutating func deliver(_ count: Int, to connection: Int, at time: UInt64) -> Bool {
        let first = received[connection]
        let end = first + UInt64(count)
        guard end <= published else { return false }
        received[connection] = end
        deliveries += UInt64(count)
        connectionsAt[Self.slot(first)] -= 1
        connectionsAt[Self.slot(end)] += 1
        while completed < published, connectionsAt[Self.slot(completed)] == 0 { completed += 1 }
        if connections < Self.sampledFrom || connection % Self.sampling == 0 { record(first..<end, at: time) }
        return true
    }

    private mutating func record(_ messages: Range<UInt64>, at time: UInt64) {
        for message in messages {
            let sent = sentAt[Self.slot(message)]
            latency.record(time > sent ? time - sent : 0)
        }
    }

    private static func slot(_ message: UInt64) -> Int { Int(message % UInt64(capacity)) }
}
