/// What the operations listener asks of a node. Every answer comes within a bounded time, whatever the store and the other
/// regions do: a probe of a load balancer waits for it.
public protocol RelayInspector: Sendable {
    func readiness() async -> Readiness
    func regions() async -> RegionsReport
    func nodes() async -> NodesReport
    /// - Parameter room: within the rules for room ids. A room that nobody uses has a home too.
    func room(_ room: String) async -> RoomReport
    func metrics() async -> [MetricFamily]
}
