import MeshCore

/// What `heliograph up` prints. Pure text, so that it can be tested.
public enum MeshReport {
    /// One line for an event, or several for a death.
    public static func text(_ event: MeshEvent) -> String {
        switch event {
        case .started(let name, let pid): "started \(name) (pid \(pid))"
        case .ready(let name, let after): "\(name) is ready after \(after)"
        case .waiting(let reasons): "waiting for \(reasons.joined(separator: "; "))"
        case .died(let name, let how, let log, let lines):
            "\(name) \(how). The end of \(log):" + lines.map { "\n  | \($0)" }.joined()
        case .nothingLeft: "no relay is left"
        case .stopping: "stopping relays, then stores (again to kill them at once)"
        case .killing(let name, let after): "\(name) did not end within \(after): killing it"
        }
    }

    /// Where everything is: one row a node.
    public static func table(_ regions: [LocalMesh.Region]) -> String {
        var rows = [["region", "node", "client", "operations", "redis"]]
        for region in regions {
            for node in region.nodes {
                rows.append([region.region.name, node.node.name, node.clientURL, node.operationsURL, region.redis?.url ?? "embedded"])
            }
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            return String(cells.joined(separator: "  ").trimmingSuffix { $0 == " " })
        }.joined(separator: "\n")
    }

    /// Two commands that open two chats, in two regions where there are two.
    ///
    /// - Parameter invokedAs: how this program was called, so that the commands work where the user is.
    public static func chatCommands(_ regions: [LocalMesh.Region], invokedAs program: String, secretFile: String, trustFile: String? = nil)
        -> [String]
    {
        let nodes = regions.compactMap(\.nodes.first)
        guard let first = nodes.first else { return [] }
        let second = nodes.dropFirst().first ?? first
        let trust = trustFile.map { " --ca \(quoted($0))" } ?? ""
        return zip(["alice", "bob"], [first, second]).map { user, node in
            "\(quoted(program)) chat --url \(node.clientURL) --user \(user) --room lobby --secret-file \(quoted(secretFile))\(trust)"
        }
    }

    /// For a POSIX shell.
    static func quoted(_ word: String) -> String {
        let isPlain = !word.isEmpty && word.allSatisfy { ($0.isASCII && ($0.isLetter || $0.isNumber)) || "/._-+=:@".contains($0) }
        return isPlain ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
    }
}

extension String {
    fileprivate func trimmingSuffix(while drop: (Character) -> Bool) -> Substring {
        var rest = self[...]
        while let last = rest.last, drop(last) { rest.removeLast() }
        return rest
    }
}
