import MeshConfiguration
import MeshCore
import NIOCore
import Operations
import Store
import Synchronization
import View

/// Answers the operations listener, from the first moment of the process on.
struct NodeInspector: RelayInspector {
    let node: RelayNode
    let configuration: NodeConfiguration

    private var running: RunningNode? { node.running.withLock { $0 } }

    func readiness() async -> Readiness {
        let progress = node.progress.withLock { $0 }
        guard let running else { return waiting(progress) }
        var checks = await running.checks()
        checks.append(.init(name: "draining", ok: !progress.isDraining, detail: progress.isDraining ? "stopping" : "no"))
        let ready: Bool
        if progress.wasReady {
            let cutOff = !checks.isOk("redis") && !checks.isOk("mesh")
            ready = !progress.isDraining && !cutOff
        } else {
            // The client listener opens a moment after the last check held.
            ready = false
        }
        return Readiness(ready: ready, checks: checks)
    }

    private func waiting(_ progress: StartProgress) -> Readiness {
        Readiness(
            ready: false,
            checks: [
                .init(name: "redis", ok: false, detail: "waiting: \(progress.store)"),
                .init(name: "mesh", ok: false, detail: "not started: the node waits for its store"),
                .init(name: "lease", ok: false, detail: "not started: the node waits for its store"),
                .init(name: "draining", ok: !progress.isDraining, detail: progress.isDraining ? "stopping" : "no"),
            ])
    }

    func regions() async -> RegionsReport {
        let view = configuration.firstView
        let snapshot = await MeshSnapshot(running)
        let regions = view.regions.map { region in snapshot.region(region.region, configuration, running?.shardsHomed ?? [:]) }
        return RegionsReport(
            view: .init(epoch: view.epoch, active: view.activeRegions.map(\.name)), own: configuration.node.region.name, regions: regions)
    }

    func nodes() async -> NodesReport {
        let snapshot = await MeshSnapshot(running)
        let nodes = configuration.mesh.regions.flatMap(\.nodes).map { snapshot.node($0, configuration) }
        return NodesReport(own: configuration.node.description, nodes: nodes)
    }

    func room(_ room: String) async -> RoomReport {
        let topology = await running?.ask { $0.topology } ?? Topology(view: configuration.firstView)
        let homes = topology.view.homes(of: room)
        let root = topology.root(of: room)
        let description = await running?.describe(room)
        return RoomReport(
            room: room, shard: Shard(room: room).number, placement: topology.view.placement(of: room),
            preference: topology.view.preference(of: room).map(\.name), viewEpoch: topology.view.epoch, home: homes.home?.name,
            standby: homes.standby?.name, root: root?.description,
            rosterVersion: homes.home.flatMap { topology.rosters[$0]?.version }, head: description?.head,
            subscribers: description.map { Dictionary(uniqueKeysWithValues: $0.sessions.map { ($0.key.name, $0.value) }) },
            members: description?.members, why: why(room, topology, root, description))
    }

    private func why(_ room: String, _ topology: Topology, _ root: NodeID?, _ description: RoomDescription?) -> [String] {
        let shard = Shard(room: room)
        let homes = topology.view.homes(of: room)
        var lines = ["CRC16 of \(HashTag(of: room).text) modulo \(Shard.count) is shard \(shard)"]
        let preference = topology.view.preference(of: room).map(\.name).joined(separator: ", ")
        lines.append("placement \(topology.view.placement(of: room)) ranks the regions for this shard: \(preference)")
        lines.append(homes.home.map { "\($0) is the first active one, so it is home" } ?? "none of them is active")
        if let root {
            lines.append("the roster of \(root.region) ranks its nodes for this room: \(root.name) is the root")
        } else {
            lines.append("no live node of the home region is known here")
        }
        lines.append(description.map { "the root answered; its log is \($0.logState)" } ?? "the root could not be asked")
        return lines
    }

    func metrics() async -> [MetricFamily] { await running?.metrics() ?? [] }

    // MARK: Stored data

    func deleteRoom(_ room: String) async -> DeletionReport {
        guard let running else { return DeletionReport(room: room, regions: [], missing: [notStarted]) }
        var deletion = Deletion(node: running)
        return await deletion.delete(room: room)
    }

    func deleteUser(_ user: String) async -> DeletionReport {
        guard let running else { return DeletionReport(user: user, regions: [], missing: [notStarted]) }
        var deletion = Deletion(node: running)
        return await deletion.delete(user: user)
    }

    private var notStarted: DeletionReport.Missing {
        .init(region: configuration.node.region.name, reason: "the node has not started yet")
    }

    func export(_ user: String) async -> Result<AsyncStream<ByteBuffer>, ExportFault> {
        guard let running else { return .failure(ExportFault(reason: "the node has not started yet")) }
        let export = UserExport(user: user, node: running)
        do throws(Refusal) {
            try await export.begin()
        } catch {
            return .failure(ExportFault(reason: error.message))
        }
        return .success(AsyncStream { await export.nextPage() })
    }
}

extension [Readiness.Check] {
    fileprivate func isOk(_ name: String) -> Bool { first { $0.name == name }?.ok ?? false }
}

extension RunningNode {
    /// `redis`, `mesh` and `lease`.
    func checks() async -> [Readiness.Check] {
        let stores = await reports().map(\.storeState)
        let attached = await ports.asyncMap { await $0.ask { $0.storeKeeper.isUp } ?? false }
        let mesh = await ask { $0.hasMesh } ?? (ok: false, detail: "stopped")
        let lease = await ask { $0.lease } ?? (ok: false, detail: "stopped")
        let inRoster = await ask { $0.topology.isLive($0.ownNode) } ?? false
        return [
            storeCheck(stores, attached),
            .init(name: "mesh", ok: mesh.ok && inRoster, detail: inRoster ? mesh.detail : "not in the roster yet"),
            .init(name: "lease", ok: lease.ok, detail: lease.detail),
        ]
    }

    private func storeCheck(_ states: [StoreState], _ attached: [Bool]) -> Readiness.Check {
        for state in states {
            if case .down(let reason) = state { return .init(name: "redis", ok: false, detail: reason) }
        }
        let all = attached.allSatisfy { $0 }
        return .init(name: "redis", ok: all, detail: all ? "connected" : "connected, not attached yet")
    }

    /// Asks the root of a room, wherever it is. Nil if it did not answer in time.
    func describe(_ room: String) async -> RoomDescription? {
        guard case .description(let description) = await ask(room, .describe, within: .seconds(2)) else { return nil }
        return description
    }
}

extension Array {
    fileprivate func asyncMap<Result>(_ transform: (Element) async -> Result) async -> [Result] {
        var results: [Result] = []
        for element in self { results.append(await transform(element)) }
        return results
    }
}
