import MeshCore

/// Region health for people: columns as wide as their widest cell, numbers to the right.
public enum StatusTable {
    private static let titles = ["REGION", "STATE", "NODES", "SESSIONS", "RTT", "SHARDS", "LAST SEEN"]
    /// Titles from here on stand over numbers.
    private static let firstNumber = 2

    public static func render(_ regions: RegionsReport, _ readiness: Readiness) -> String {
        let rows = [titles] + regions.regions.map { row($0, own: regions.own) }
        let widths = titles.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { line($0, widths) }
        lines.append("")
        lines.append("view \(regions.view.epoch), active: \(regions.view.active.joined(separator: ", "))")
        lines.append(readiness.ready ? "ready" : "not ready")
        for check in readiness.checks where !check.ok { lines.append("  \(check.name): \(check.detail)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func row(_ region: RegionsReport.Region, own: String) -> [String] {
        [
            region.region == own ? region.region + " *" : region.region, region.state.rawValue, "\(region.nodes)", "\(region.sessions)",
            region.rttMs.map(milliseconds) ?? "-", "\(region.shardsHomed)", region.lastSeenMs.map(age) ?? "never",
        ]
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        let padded = cells.indices.map { column in
            let space = String(repeating: " ", count: widths[column] - cells[column].count)
            return column < firstNumber ? cells[column] + space : space + cells[column]
        }
        return padded.joined(separator: "  ")
    }

    private static func milliseconds(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
    }

    private static func age(_ ms: Int) -> String {
        switch ms {
        case ..<1000: "now"
        case ..<60_000: "\(ms / 1000) s ago"
        default: "\(ms / 60_000) min ago"
        }
    }
}

/// A route for people: where, then why, then the edges.
public enum RouteText {
    public static func render(_ route: RouteReport) -> String {
        var lines = [
            "room     \(route.room)",
            "shard    \(route.shard)  (CRC16 of the room, or of its {hash tag}, modulo \(Shard.count))",
            "home     \(route.home ?? "none")  (the first active region of the shard's preference list)",
            "standby  \(route.standby ?? "none")  (the second)",
            "view     \(route.view)",
            "edges    best first:",
        ]
        let regionWidth = route.edges.map(\.region.count).max() ?? 0
        for edge in route.edges {
            let region = edge.region + String(repeating: " ", count: regionWidth - edge.region.count)
            lines.append("  \(region)  \(edge.healthy ? "healthy  " : "unhealthy")  load \(number(edge.load))  \(edge.url)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func number(_ value: Double) -> String {
        Int(exactly: value).map(String.init) ?? "\(value)"
    }
}
