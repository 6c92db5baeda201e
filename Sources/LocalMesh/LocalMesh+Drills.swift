import Foundation
import MeshCore

/// What tests and drills do to a mesh on purpose.
extension LocalMesh {
    /// Sends a signal to a relay. SIGSTOP and SIGCONT pause and wake it; after SIGTERM or SIGKILL see `waitForExit`.
    public func kill(_ node: NodeID, _ signal: Int32 = SIGKILL) throws(LocalMeshError) {
        guard let child = relays[node] else { throw .unknown("\(node)") }
        child.signal(signal)
    }

    /// Nil if it still runs after `timeout`.
    public func waitForExit(of node: NodeID, timeout: TimeSpan) async throws(LocalMeshError) -> ChildExit? {
        guard let child = relays[node] else { throw .unknown("\(node)") }
        _ = await child.waitForExit(timeout: timeout)
        return child.status
    }

    /// Starts a relay that has ended, or ends and starts it, and waits until it is ready.
    public func restart(_ node: NodeID) async throws {
        guard let planned = plan.node(node), let old = relays[node] else { throw LocalMeshError.unknown("\(node)") }
        await endOnPurpose(old, SIGTERM)
        relays[node] = try await startChild(relayCommand(planned))
        try await waitUntilReady([waited(for: planned)])
    }

    /// Ends a region's store: in order, or with SIGKILL as a crash does.
    public func stopRedis(_ region: RegionID, signal: Int32 = SIGTERM) async throws(LocalMeshError) {
        guard let child = redisServers[region] else { throw .unknown("the Redis of \(region)") }
        await endOnPurpose(child, signal)
    }

    /// Starts a region's store again and waits until it answers.
    ///
    /// - Parameter wiped: without its files, as after the loss of a disk.
    public func startRedis(_ region: RegionID, wiped: Bool = false) async throws {
        guard let port = plan.region(region)?.redisPort, let old = redisServers[region] else {
            throw LocalMeshError.unknown("the Redis of \(region)")
        }
        await endOnPurpose(old, SIGTERM)
        if wiped {
            try FileManager.default.removeItem(atPath: files.redis(of: region))
            try files.makeFolder(files.redis(of: region))
        }
        let child = try await startChild(redisCommand(region, port))
        redisServers[region] = child
        try await waitUntilReady([waited(for: child, redisPort: port)])
    }

    private func endOnPurpose(_ child: ChildProcess, _ signal: Int32) async {
        guard child.status == nil else { return }
        settled.insert(child.pid)
        if child.signal(signal) { child.signal(SIGCONT) }
        await awaitEnd(of: child, within: options.stopTimeout)
    }
}
