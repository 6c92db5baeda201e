/// Rendezvous (highest random weight) hashing, with integer arithmetic only so that every node of every
/// architecture computes the same order. Source: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996;
/// weights by the logarithm method, with the logarithm in fixed point.
public enum Rendezvous {
    /// The candidate that `key` prefers, or nil for no candidates. Ties fall to the smaller description.
    public static func choose<Candidate: CustomStringConvertible & Comparable>(_ key: UInt64, among candidates: [Candidate]) -> Candidate? {
        var best: (score: UInt64, candidate: Candidate)?
        for candidate in candidates {
            let score = mix64(key ^ stableHash(candidate.description))
            if let held = best, held.score > score || (held.score == score && held.candidate < candidate) { continue }
            best = (score, candidate)
        }
        return best?.candidate
    }

    /// All candidates, most preferred first.
    public static func order<Candidate: CustomStringConvertible & Comparable>(
        _ key: UInt64, among candidates: [(candidate: Candidate, weight: UInt32)]
    ) -> [Candidate] {
        var scored: [(cost: UInt64, candidate: Candidate)] = []
        for (candidate, weight) in candidates where weight > 0 {
            scored.append((cost(mix64(key ^ stableHash(candidate.description)), weight: weight), candidate))
        }
        scored.sort { a, b in a.cost == b.cost ? a.candidate < b.candidate : a.cost < b.cost }
        return scored.map(\.candidate)
    }

    /// −log2(hash / 2^64) / weight in fixed point: smaller is better, and the chance of being first is in
    /// proportion to the weight.
    static func cost(_ hash: UInt64, weight: UInt32) -> UInt64 {
        let logarithm = (64 << fractionBits) - log2Fixed(max(1, hash))
        return (UInt64(logarithm) << 20) / UInt64(weight)
    }

    private static let fractionBits = 32

    /// log2 of a non-zero value with 32 fraction bits: the exponent by leading zeros, then one bit of the fraction
    /// for each squaring of the mantissa.
    static func log2Fixed(_ value: UInt64) -> Int {
        let exponent = 63 - value.leadingZeroBitCount
        var mantissa = value << value.leadingZeroBitCount  // 1.63 fixed point, in [2^63, 2^64)
        var fraction = 0
        for _ in 0..<fractionBits {
            let square = mantissa.multipliedFullWidth(by: mantissa).high  // 2.62
            fraction <<= 1
            if square >= 1 << 63 {
                fraction |= 1
                mantissa = square
            } else {
                mantissa = square << 1
            }
        }
        return exponent << fractionBits | fraction
    }
}
