/// Which messages are under way, and how long each took to each connection.
///
/// A message is complete when every connection has received it. Messages arrive in the order of publishing, so a
/// connection's count of deliveries names the message; a lost one would leave the count behind and the window would never
/// move on, which the load generator reports as a stall.
struct DeliveryWindow {
    /// Messages under way at once, at most; the open loop stops publishing there.
    static let capacity = 1 << 16

    private let connections: Int
    private var received: [UInt64]
    private var missing: [Int32]
    private var sentAt: [UInt64]
    private(set) var published: UInt64 = 0
    private(set) var completed: UInt64 = 0
    private(set) var deliveries: UInt64 = 0
    var latency = Histogram()

    init(connections: Int) {
        self.connections = connections
        received = [UInt64](repeating: 0, count: connections)
        missing = [Int32](repeating: 0, count: Self.capacity)
        sentAt = [UInt64](repeating: 0, count: Self.capacity)
    }

    var underWay: Int { Int(published - completed) }
    var isFull: Bool { underWay >= Self.capacity }

    /// - Parameter time: when the message was sent, or in an open loop should have been.
    mutating func publish(at time: UInt64) {
        let slot = Int(published % UInt64(Self.capacity))
        missing[slot] = Int32(connections)
        sentAt[slot] = time
        published += 1
    }

    /// False if more arrived than was ever sent.
    mutating func deliver(_ count: Int, to connection: Int, at time: UInt64) -> Bool {
        let first = received[connection]
        let end = first + UInt64(count)
        guard end <= published else { return false }
        received[connection] = end
        deliveries += UInt64(count)
        for message in first..<end {
            let slot = Int(message % UInt64(Self.capacity))
            latency.record(time > sentAt[slot] ? time - sentAt[slot] : 0)
            missing[slot] -= 1
            if missing[slot] == 0 { completed += 1 }
        }
        return true
    }
}
