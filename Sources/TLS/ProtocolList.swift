/// Application protocols as ALPN carries them (RFC 7301, section 3.1): each with its length in one byte before it.
struct ProtocolList: Sendable {
    let wire: [UInt8]
    let names: [[UInt8]]

    init(_ names: [String]) throws(TLSConfigurationFault) {
        self.names = names.map { Array($0.utf8) }
        if let bad = names.first(where: { !(1...255).contains($0.utf8.count) }) {
            throw TLSConfigurationFault(file: nil, reason: "an application protocol has 1 to 255 bytes: `\(bad)`")
        }
        wire = self.names.flatMap { [UInt8($0.count)] + $0 }
    }

    /// Where in the client's list stands the protocol that this side likes best. Nil when there is none, or the list is malformed.
    func choose(from offered: UnsafeRawBufferPointer) -> Range<Int>? {
        var best: (rank: Int, range: Range<Int>)?
        var index = 0
        while index < offered.count {
            let start = index + 1
            let end = start + Int(offered[index])
            guard end <= offered.count, start < end else { return nil }
            let rank = names.firstIndex { $0.elementsEqual(offered[start..<end]) }
            if let rank, rank < best?.rank ?? .max { best = (rank, start..<end) }
            index = end
        }
        return best?.range
    }
}
