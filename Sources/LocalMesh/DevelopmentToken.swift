import Foundation
import JWTKit
import MeshConfiguration

/// Client tokens as a development issuer makes them: JWT, HS256.
public struct DevelopmentToken: JWTPayload, Hashable {
    /// What a token may be asked for; `guest` may read, `admin` may moderate.
    public enum Role: String, Codable, Sendable, CaseIterable { case admin, member, guest }

    public var sub: String
    public var iat: Int
    public var exp: Int
    public var role: Role
    public var device: String?

    /// - Parameter ttlSeconds: from `issuedAt` to its expiry.
    public init(user: String, role: Role = .member, device: String? = nil, ttlSeconds: Int = 3_600, issuedAt: Date = Date()) {
        sub = user
        iat = Int(issuedAt.timeIntervalSince1970)
        exp = iat + ttlSeconds
        self.role = role
        self.device = device
    }

    /// The compact serialization (RFC 7515, section 7.1).
    public func signed(with secret: TokenSecret) async throws -> String {
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret.bytes), digestAlgorithm: .sha256)
        return try await keys.sign(self)
    }

    public func verify(using _: some JWTAlgorithm) throws {
        try ExpirationClaim(value: Date(timeIntervalSince1970: TimeInterval(exp))).verifyNotExpired()
    }
}
