import MeshCore
import NIOCore

/// The fuzzer's bytes: a target takes its options from the front, the rest is what arrives.
struct FuzzInput {
    private(set) var bytes: ByteBuffer

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = ByteBuffer(bytes: bytes) }

    /// A number below `count`, from the next byte; 0 at the end of the input.
    mutating func option(_ count: Int) -> Int { Int(bytes.readInteger(as: UInt8.self) ?? 0) % count }

    mutating func option<Value>(of values: [Value]) -> Value { values[option(values.count)] }

    /// Depends on nothing but the bytes.
    var seed: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes.readableBytesView { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return mix64(hash)
    }

    /// The bytes as a network might deliver them, in pieces of any size.
    var pieces: [ByteBuffer] {
        var random = SeededRandom(seed: seed)
        var rest = bytes
        var pieces: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            let bytesMax = Bool.random(using: &random) ? min(4, rest.readableBytes) : rest.readableBytes
            guard let piece = rest.readSlice(length: Int.random(in: 1...bytesMax, using: &random)) else { break }
            // A buffer of its own: a reader that writes to it must not depend on what the others share.
            pieces.append(ByteBuffer(buffer: piece))
        }
        return pieces
    }
}

/// Traps with a text if an invariant is broken. Unlike `precondition` it also speaks in optimised builds.
func require(_ condition: @autoclosure () -> Bool, _ invariant: @autoclosure () -> String) {
    guard !condition() else { return }
    let text = invariant()
    print("broken: \(text)")
    preconditionFailure(text)
}
