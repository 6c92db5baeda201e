enum Spelling {
    /// The candidate that is nearest to a misspelt word, if it is near enough to be meant.
    static func nearest(to word: String, in candidates: some Sequence<String>) -> String? {
        let best = candidates.map { (distance(word, $0), $0) }.min { $0 < $1 }
        guard let best, best.0 <= max(1, word.count / 3) else { return nil }
        return best.1
    }

    /// Levenshtein distance, ignoring case.
    static func distance(_ a: String, _ b: String) -> Int {
        let b = Array(b.lowercased())
        var row = Array(0...b.count)
        for (i, character) in a.lowercased().enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let substituted = diagonal + (character == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
