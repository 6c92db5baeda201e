import MeshCore

/// Names and ports of a local mesh: a pure function of the options.
public struct MeshPlan: Hashable, Sendable {
    public struct Region: Hashable, Sendable {
        public var region: RegionID
        public var nodes: [Node]
        /// Nil with the embedded store.
        public var redisPort: Int?
    }

    public struct Node: Hashable, Sendable {
        public var node: NodeID
        public var clientPort: Int
        public var operationsPort: Int
        public var meshPort: Int

        func clientURL(tls: Bool) -> String { "\(tls ? "https" : "http")://127.0.0.1:\(clientPort)" }
        func operationsURL(tls: Bool) -> String { "\(tls ? "https" : "http")://127.0.0.1:\(operationsPort)" }
    }

    public static let regionNames = ["eu-west", "us-east", "ap-south", "sa-east", "af-south", "eu-north", "us-west", "ap-east"]
    /// The last Redis port is 300 above, plus one a region.
    public static let basePortMax = 65_535 - 300 - regionNames.count

    public var regions: [Region]

    /// - Parameter port: hands out the port for a place in the table above `LocalMeshOptions.basePort`.
    init(_ options: LocalMeshOptions, port: (_ offset: Int) -> Int) {
        regions = (0..<options.regions).map { i in
            let region = RegionID(Self.regionNames[i])
            let nodes = (0..<options.nodes).map { j in
                Node(
                    node: NodeID(region: region, name: "\(region)-\(j)"), clientPort: port(10 * i + j),
                    operationsPort: port(100 + 10 * i + j),
                    meshPort: port(200 + 10 * i + j))
            }
            return Region(region: region, nodes: nodes, redisPort: options.store == .redis ? port(300 + i) : nil)
        }
    }

    /// Every port with what it is for, in the order of the plan.
    public var ports: [(port: Int, purpose: String)] {
        regions.flatMap { region in
            region.nodes.flatMap {
                [
                    ($0.clientPort, "\($0.node.name) client"), ($0.operationsPort, "\($0.node.name) operations"),
                    ($0.meshPort, "\($0.node.name) mesh"),
                ]
            } + (region.redisPort.map { [($0, "\(region.region) Redis")] } ?? [])
        }
    }

    /// The same plan with other ports, asked for in the order of `ports`.
    func mapPorts(_ change: (Int) -> Int) -> MeshPlan {
        var plan = self
        for i in plan.regions.indices {
            for j in plan.regions[i].nodes.indices {
                var node = plan.regions[i].nodes[j]
                node.clientPort = change(node.clientPort)
                node.operationsPort = change(node.operationsPort)
                node.meshPort = change(node.meshPort)
                plan.regions[i].nodes[j] = node
            }
            plan.regions[i].redisPort = plan.regions[i].redisPort.map(change)
        }
        return plan
    }

    public func region(_ id: RegionID) -> Region? { regions.first { $0.region == id } }
    public func node(_ id: NodeID) -> Node? { region(id.region)?.nodes.first { $0.node == id } }
}
