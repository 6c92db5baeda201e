import MeshCore

/// Knows when a node has heard all that the others own of the rooms that hang below it, after the topology has changed.
///
/// Under a new topology every node announces its sessions to its new parents, and then says so with a mark. A mark is said in three rounds,
/// as announcements climb: a node has announced what it owns; a gateway has announced what its region owns; a gateway has announced to
/// its own region what the other regions own. Links are first in, first out, so whoever has all marks has all announcements: a root that
/// is new knows then that who was not announced has left. Only nodes that are linked are waited for.
public struct AnnouncementRounds: Sendable {
    public enum Round: UInt32, Hashable, Sendable, CaseIterable {
        /// What the sender itself owns, to its region.
        case own = 0
        /// What the sender's region owns, to the gateways of other regions.
        case region = 1
        /// What other regions own, to the sender's region.
        case foreign = 2
    }

    /// Said by one cell of a node; it speaks for the rooms of that cell.
    public struct Mark: Hashable, Sendable {
        public var topology: UInt64
        public var round: Round
        public var cell: Int
        public var cells: Int

        public init(topology: UInt64, round: Round, cell: Int, cells: Int) {
            self.topology = topology
            self.round = round
            self.cell = cell
            self.cells = cells
        }
    }

    private struct Heard: Hashable {
        var node: NodeID
        var round: Round
    }

    /// A mark of more cells is not believed.
    private static let cellsMax = 4_096

    private let node: NodeID
    /// The number of the topology that was adopted last.
    public private(set) var topology: UInt64 = 0
    private var mates: Set<NodeID> = []
    private var gateways: Set<NodeID> = []
    private var foreignGateways: Set<NodeID> = []
    private var linked: Set<NodeID> = []
    /// The last topology for which each cell of a node has said each round.
    private var heard: [Heard: [UInt64]] = [:]
    private var said: [Round: Set<NodeID>] = [:]
    private var wasSettled = false
    /// Something has happened since `takeDue` was asked.
    private var mayBeDue = false

    public init(node: NodeID) { self.node = node }

    /// The number by which nodes recognize that they mean the same topology.
    public static func fingerprint(of topology: Topology) -> UInt64 {
        let rosters = topology.rosters.values.map { "\($0.region):\($0.version)" }.sorted().joined(separator: " ")
        return stableHash("\(topology.view.epoch) \(rosters)")
    }

    /// Call after everything was announced to the new parents.
    public mutating func adopt(_ newer: Topology) {
        topology = Self.fingerprint(of: newer)
        let live = newer.rosters.values.flatMap(\.nodes)
        mates = Set(live.filter { $0.region == node.region && $0 != node })
        gateways = Set(newer.gateways(of: node.region))
        foreignGateways = Set(newer.rosters.keys.filter { $0 != node.region }.flatMap(newer.gateways))
        said = [:]
        wasSettled = false
        mayBeDue = true
    }

    /// Call after everything was announced over the link.
    public mutating func linked(to node: NodeID) {
        unlinked(from: node)
        linked.insert(node)
        mayBeDue = true
    }

    public mutating func unlinked(from node: NodeID) {
        linked.remove(node)
        mayBeDue = true
        for round in Round.allCases {
            heard[Heard(node: node, round: round)] = nil
            said[round]?.remove(node)
        }
    }

    public mutating func heard(_ mark: Mark, from node: NodeID) {
        guard linked.contains(node), mark.cells <= Self.cellsMax, mark.cell < mark.cells else { return }
        let key = Heard(node: node, round: mark.round)
        var cells = heard[key] ?? []
        if cells.count != mark.cells { cells = Array(repeating: 0, count: mark.cells) }
        cells[mark.cell] = mark.topology
        heard[key] = cells
        mayBeDue = true
    }

    /// The rounds to say now, and to whom. Everything that was announced must have been sent before them.
    public mutating func takeDue() -> [(round: Round, to: [NodeID])] {
        guard mayBeDue else { return [] }
        mayBeDue = false
        var due: [(round: Round, to: [NodeID])] = []
        for (round, receivers) in [(Round.own, mates), (.region, foreignGateways), (.foreign, mates)] where isReady(for: round) {
            let to = receivers.intersection(linked).subtracting(said[round] ?? [])
            guard !to.isEmpty else { continue }
            said[round, default: []].formUnion(to)
            due.append((round, to.sorted()))
        }
        return due
    }

    private func isReady(for round: Round) -> Bool {
        switch round {
        case .own: true
        case .region: gateways.contains(node) && hasHeard(.own, from: mates)
        case .foreign: gateways.contains(node) && hasHeard(.region, from: foreignGateways)
        }
    }

    private func hasHeard(_ round: Round, from nodes: Set<NodeID>) -> Bool {
        nodes.intersection(linked).allSatisfy { node in
            heard[Heard(node: node, round: round)]?.allSatisfy { $0 == topology } ?? false
        }
    }

    /// Whether everybody who is linked has announced everything under this topology. Stays true until the topology changes: who is linked
    /// later was out of contact, and is shown again.
    public mutating func isSettled() -> Bool {
        if wasSettled { return true }
        wasSettled =
            hasHeard(.own, from: mates) && hasHeard(.foreign, from: mates.intersection(gateways))
            && (!gateways.contains(node) || hasHeard(.region, from: foreignGateways))
        return wasSettled
    }
}
