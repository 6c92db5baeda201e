import Foundation

/// The HS256 secret that client tokens are signed with: the bytes of a file, without white space at its end, so that a
/// file made with `echo` and one made with `printf` hold the same secret.
public struct TokenSecret: Sendable {
    /// RFC 7518, section 3.2: the key must be at least as long as the hash.
    public static let bytesLeast = 32
    public static let bytesMost = 4_096

    public let bytes: [UInt8]

    public init(bytes: [UInt8]) throws(TokenSecretFault) {
        guard !bytes.isEmpty else { throw .empty }
        guard bytes.count >= Self.bytesLeast else { throw .tooShort(bytes.count) }
        guard bytes.count <= Self.bytesMost else { throw .tooLong(bytes.count) }
        self.bytes = bytes
    }

    public init(file: String) throws(TokenSecretFault) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw .unreadable(file, FileFault.describe(error))
        }
        let whiteSpace: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        var bytes = [UInt8](data)
        while let last = bytes.last, whiteSpace.contains(last) { bytes.removeLast() }
        try self.init(bytes: bytes)
    }
}

public enum TokenSecretFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(String, String)
    case empty
    case tooShort(Int)
    case tooLong(Int)

    public var description: String {
        switch self {
        case .unreadable(let file, let reason): "cannot read \(file): \(reason)"
        case .empty: "the secret is empty"
        case .tooShort(let count): "the secret has \(count) bytes; HS256 needs at least \(TokenSecret.bytesLeast)"
        case .tooLong(let count): "the secret has \(count) bytes; at most \(TokenSecret.bytesMost) are read"
        }
    }
}
