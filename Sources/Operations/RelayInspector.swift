import NIOCore

/// What the operations listener asks of a node. Every answer comes within a bounded time, whatever the store and the other
/// regions do: a probe of a load balancer waits for it.
public protocol RelayInspector: Sendable {
    func readiness() async -> Readiness
    func regions() async -> RegionsReport
    func nodes() async -> NodesReport
    /// - Parameter room: within the rules for room ids. A room that nobody uses has a home too.
    func room(_ room: String) async -> RoomReport
    func metrics() async -> [MetricFamily]

    /// Deletes what is stored of a room, in every region, and ends its subscriptions. May be repeated.
    func deleteRoom(_ room: String) async -> DeletionReport
    /// Deletes what is stored of a user, in every region, and ends her sessions. May be repeated.
    func deleteUser(_ user: String) async -> DeletionReport
    /// What is stored of a user, as lines of JSON in pages that are made when they are asked for. An error in the middle is the last line.
    func export(_ user: String) async -> Result<AsyncStream<ByteBuffer>, ExportFault>
}
