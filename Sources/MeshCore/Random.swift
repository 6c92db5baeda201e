/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough for jitter and for tests, and the same on every
/// machine for the same seed. Never for secrets.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mix64(state)
    }
}

/// The finalizer of SplitMix64: every input bit changes every output bit with probability one half.
@inlinable
public func mix64(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

/// FNV-1a over bytes, then mixed. The same in every process (Swift's own `Hasher` is seeded), so nodes agree on it.
@inlinable
public func stableHash(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { bytes in
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return mix64(hash)
    }
}
