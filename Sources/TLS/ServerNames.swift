/// Which certificates are for which server name. A name itself goes before a wildcard, and a wildcard stands for one whole
/// label on the left (RFC 6125, section 6.4.3).
struct ServerNames: Sendable {
    private var exact: [String: [Int]] = [:]
    private var wildcards: [String: [Int]] = [:]

    /// - Parameter certificates: the DNS names of each.
    init(certificates: [[String]]) {
        for (index, names) in certificates.enumerated() {
            for name in Set(names.map { $0.lowercased() }) {
                if name.hasPrefix("*.") {
                    wildcards[String(name.dropFirst(2)), default: []].append(index)
                } else {
                    exact[name, default: []].append(index)
                }
            }
        }
    }

    /// Indices into the certificates, in their order; empty when none is for that name.
    func certificates(for name: String) -> [Int] {
        let name = name.lowercased()
        if let found = exact[name] { return found }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return [] }
        return wildcards[String(name[name.index(after: dot)...])] ?? []
    }
}
