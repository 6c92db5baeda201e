import MeshCore
import Operations
import View

/// Deletes a room, or all of a user, in every region. What could not be reached is told, and everything may be repeated.
struct Deletion {
    let node: RunningNode
    private var missing: [DeletionReport.Missing] = []

    private static let deadline = TimeSpan.seconds(5)
    private static let roomsPage = 500

    init(node: RunningNode) { self.node = node }

    mutating func delete(room: String) async -> DeletionReport {
        guard let topology = await topology() else { return DeletionReport(room: room, regions: [], missing: missing) }
        await deleteAtRoot(of: room, .deleteRoom, topology)
        await deleteCopies(of: room, ofUser: false, topology)
        return DeletionReport(room: room, regions: reached(topology), missing: missing)
    }

    /// Sessions first, so that nothing is added behind; the list of her rooms last, so that a repetition still finds what is left.
    mutating func delete(user: String) async -> DeletionReport {
        guard let topology = await topology() else { return DeletionReport(user: user, regions: [], missing: missing) }
        let inbox = NameRules.inbox(of: user)
        await endSessions(of: user, topology)
        if await deleteReceipts(of: user, topology) {
            await deleteAtRoot(of: inbox, .deleteUser, topology)
            await deleteCopies(of: inbox, ofUser: true, topology)
        }
        return DeletionReport(user: user, regions: reached(topology), missing: missing)
    }

    private mutating func topology() async -> Topology? {
        let topology = await node.ask { $0.topology }
        if topology == nil { miss(node.context.region, "the node is stopping") }
        return topology
    }

    private func reached(_ topology: Topology) -> [String] {
        let lost = Set(missing.map(\.region))
        return topology.view.regions.map(\.region.name).filter { !lost.contains($0) }
    }

    private mutating func miss(_ region: RegionID, _ reason: String) {
        missing.append(.init(region: region.name, reason: reason))
    }

    // MARK: The steps

    private mutating func deleteAtRoot(of room: String, _ ask: DataAsk, _ topology: Topology) async {
        let home = topology.view.homes(of: room).home ?? node.context.region
        let answer = await node.ask(room, .data(ask), within: Self.deadline)
        if let reason = Self.refusal(answer) { miss(home, reason) }
    }

    /// The home keeps the log; elsewhere there may be one from when the room was homed there.
    private mutating func deleteCopies(of room: String, ofUser: Bool, _ topology: Topology) async {
        let home = topology.view.homes(of: room).home
        for region in topology.view.regions.map(\.region) where region != home {
            guard let helper = topology.gateway(of: region, for: room) else {
                miss(region, "no live node of the region is known")
                continue
            }
            let answer = await node.ask(helper, .deleteCopy(room: room, ofUser: ofUser), within: Self.deadline)
            if let reason = Self.refusal(answer) { miss(region, "\(helper): \(reason)") }
        }
    }

    private mutating func endSessions(of user: String, _ topology: Topology) async {
        for region in topology.view.regions.map(\.region) {
            let nodes = topology.rosters[region]?.nodes ?? []
            if nodes.isEmpty { miss(region, "no live node of the region is known") }
            for node in nodes {
                let answer = await self.node.ask(node, .endSessions(user: user), within: Self.deadline)
                if let reason = Self.refusal(answer) { miss(region, "\(node): \(reason)") }
            }
        }
    }

    /// In every room that is noted for her. False if some may be left.
    private mutating func deleteReceipts(of user: String, _ topology: Topology) async -> Bool {
        let inbox = NameRules.inbox(of: user)
        var isWhole = true
        var after = ""
        while true {
            let answer = await node.ask(inbox, .data(.rooms(after: after, limit: Self.roomsPage)), within: Self.deadline)
            guard case .data(.rooms(let rooms)) = answer else {
                miss(topology.view.homes(of: inbox).home ?? node.context.region, Self.refusal(answer) ?? "no list of her rooms")
                return false
            }
            guard let last = rooms.last else { return isWhole }
            for room in rooms {
                let missingBefore = missing.count
                await deleteAtRoot(of: room, .deleteReceipts(user: user), topology)
                isWhole = isWhole && missing.count == missingBefore
            }
            after = last
        }
    }

    private static func refusal(_ answer: RootResponse.Answer) -> String? {
        switch answer {
        case .data: nil
        case .refused(let refusal): refusal.message
        case .published, .history, .replayed, .members, .description, .unread, .done: "something else was answered"
        }
    }
}
