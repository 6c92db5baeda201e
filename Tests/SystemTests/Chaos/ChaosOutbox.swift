import MeshCore

/// What a client has to say in one room: in order, each again and again until it is acknowledged, a few at a time.
struct ChaosOutbox: Sendable {
    struct Item: Sendable {
        var key: String
        var text: String
        /// On the connection that stands.
        var isSent = false
        /// Not again before, as the relay said.
        var waitsUntil: ContinuousClock.Instant?
    }

    /// Sent and not answered.
    static let windowMax = 3
    static let itemsMax = 12

    private(set) var items: [Item] = []

    var isFull: Bool { items.count >= Self.itemsMax }
    var isEmpty: Bool { items.isEmpty }

    mutating func add(_ key: String, _ text: String) { items.append(Item(key: key, text: text)) }

    /// What may be sent now. One that waits holds back those behind it, so that they stay in order.
    mutating func takeSendable(now: ContinuousClock.Instant) -> [Item] {
        var taken: [Item] = []
        for index in items.indices.prefix(Self.windowMax) where !items[index].isSent {
            if let until = items[index].waitsUntil, now < until { break }
            items[index].isSent = true
            taken.append(items[index])
        }
        return taken
    }

    mutating func acknowledged(_ key: String) { items.removeAll { $0.key == key } }

    mutating func refused(_ key: String, until: ContinuousClock.Instant) {
        guard let index = items.firstIndex(where: { $0.key == key }) else { return }
        items[index].isSent = false
        items[index].waitsUntil = until
    }

    /// Whatever was sent on it may be lost.
    mutating func connectionLost() {
        for index in items.indices { (items[index].isSent, items[index].waitsUntil) = (false, nil) }
    }
}
