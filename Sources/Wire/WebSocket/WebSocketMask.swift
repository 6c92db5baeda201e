/// Masks or unmasks a payload in place, eight bytes at a time (RFC 6455, section 5.3).
/// - Parameter key: the masking key, its first byte on the wire being the lowest.
func applyMask(_ key: UInt32, to bytes: UnsafeMutableRawBufferPointer) {
    let wide = (UInt64(key) | UInt64(key) << 32).littleEndian
    var offset = 0
    while offset + 8 <= bytes.count {
        let masked = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ wide
        bytes.storeBytes(of: masked, toByteOffset: offset, as: UInt64.self)
        offset += 8
    }
    while offset < bytes.count {
        bytes[offset] ^= UInt8(truncatingIfNeeded: key >> UInt32(8 * (offset & 3)))
        offset += 1
    }
}

/// Whether the bytes are well-formed UTF-8 (Unicode, table 3-7). ASCII goes eight bytes at a time.
func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index < bytes.count {
        if index + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            index += 8
            continue
        }
        if bytes[index] < 0x80 {
            index += 1
            continue
        }
        guard let length = scalarLength(in: bytes, at: index) else { return false }
        index += length
    }
    return true
}

/// The length of the multi-byte scalar that starts at `index`; nil if it is ill-formed or cut off.
private func scalarLength(in bytes: UnsafeRawBufferPointer, at index: Int) -> Int? {
    let length: Int
    let second: ClosedRange<UInt8>
    switch bytes[index] {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return nil
    }
    guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return nil }
    for offset in 2..<max(2, length) where bytes[index + offset] & 0xC0 != 0x80 { return nil }
    return length
}
