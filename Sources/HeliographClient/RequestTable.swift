import MeshCore

/// The requests that wait for an answer, each with an id, a deadline and whoever waits for it. A value: it decides,
/// its owner sends.
///
/// A request that may be repeated without harm survives the loss of the connection and is sent again, in the order of
/// the first sending, on the next one.
struct RequestTable<Body: Sendable, Waiter: Sendable>: Sendable {
    struct Request: Sendable {
        let body: Body
        let waiter: Waiter
        let deadline: Instant
        let survivesReconnect: Bool
    }

    let requestsMax: Int
    private var requests: [UInt32: Request] = [:]
    private var order: [UInt32] = []
    private var lastID: UInt32 = 0

    init(requestsMax: Int) { self.requestsMax = requestsMax }

    var count: Int { requests.count }

    /// Ids grow with each request, so that their order is the order of sending; the table is empty long before the
    /// 32 bits are used up again. Nil if the table is full.
    mutating func add(_ body: Body, waiter: Waiter, deadline: Instant, survivesReconnect: Bool) -> UInt32? {
        guard requests.count < requestsMax else { return nil }
        lastID = lastID == .max ? 1 : lastID + 1
        requests[lastID] = Request(body: body, waiter: waiter, deadline: deadline, survivesReconnect: survivesReconnect)
        order.append(lastID)
        return lastID
    }

    /// The request that an answer, a cancellation or a failure to send is for; nil if it has ended already.
    mutating func remove(_ id: UInt32) -> Request? {
        guard let request = requests.removeValue(forKey: id) else { return nil }
        // Answers mostly come in order: only then is the order list shortened at once.
        if order.first == id {
            order.removeFirst()
        } else if order.count > 2 * requests.count + 16 {
            order.removeAll { requests[$0] == nil }
        }
        return request
    }

    /// Ends the requests whose deadline has come.
    mutating func expire(at now: Instant) -> [Waiter] {
        removeAll { $0.deadline <= now }
    }

    /// Ends the requests whose outcome is unknown now and that must not be repeated.
    mutating func connectionLost() -> [Waiter] {
        removeAll { !$0.survivesReconnect }
    }

    /// Ends everything.
    mutating func removeAll() -> [Waiter] {
        removeAll { _ in true }
    }

    /// What is to be sent on a new connection, in the order of the first sending.
    var waiting: [(id: UInt32, body: Body)] {
        order.compactMap { id in requests[id].map { (id, $0.body) } }
    }

    private mutating func removeAll(where ends: (Request) -> Bool) -> [Waiter] {
        let ended = order.filter { id in requests[id].map(ends) ?? false }
        let waiters = ended.compactMap { id in requests.removeValue(forKey: id)?.waiter }
        order.removeAll { requests[$0] == nil }
        return waiters
    }
}
