import NIOCore
import Synchronization

/// Counts the connections of each address over all cells of a listener. An IPv6 network of 64 bits is one address: that is what a
/// subscriber has.
final class AddressLimit: Sendable {
    private let most: Int
    private let counts = Mutex<[Key: Int]>([:])

    struct Key: Hashable, Sendable {
        private let bits: UInt64

        /// Nil for what has no address, such as a Unix socket.
        init?(_ address: SocketAddress?) {
            guard let address,
                case let bytes = address.withSockAddr({ address, count in Array(UnsafeRawBufferPointer(start: address, count: count)) })
            else { return nil }
            switch address.protocol {
            case .inet: bits = bytes[4..<8].withUnsafeBytes { UInt64($0.loadUnaligned(as: UInt32.self)) }
            case .inet6: bits = bytes[8..<24].withUnsafeBytes { Self.key(of: $0) }
            default: return nil
            }
        }

        /// IPv4 addresses in IPv6 clothes (RFC 4291, section 2.5.5.2) count as what they are.
        private static func key(of bytes: UnsafeRawBufferPointer) -> UInt64 {
            let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            return isMapped ? UInt64(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)) : bytes.loadUnaligned(as: UInt64.self)
        }
    }

    init(most: Int) { self.most = most }

    /// False when the address has all it may have.
    func enter(_ key: Key) -> Bool {
        counts.withLock { counts in
            guard counts[key, default: 0] < most else { return false }
            counts[key, default: 0] += 1
            return true
        }
    }

    func leave(_ key: Key) {
        counts.withLock { counts in
            guard let count = counts[key] else { return }
            counts[key] = count > 1 ? count - 1 : nil
        }
    }
}
