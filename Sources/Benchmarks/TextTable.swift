import Foundation

/// One line of a table; the first two columns are words, the others numbers.
func textRow(_ cells: [String]) -> String {
    cells.enumerated().map { index, cell in
        let padding = String(repeating: " ", count: max(0, 12 - cell.count))
        return index < 2 ? cell + padding : padding + cell
    }.joined(separator: " ")
}

/// The middle value, or the mean of the two; 0 of none.
func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

/// The median of shares.
func percent(_ shares: [Double]) -> String { shares.isEmpty ? "-" : fixed(median(shares) * 100, 0) + " %" }
