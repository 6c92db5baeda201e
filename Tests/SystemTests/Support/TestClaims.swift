import Foundation
import JWTKit
import MeshConfiguration

/// A token as an issuer of one's own might make it: also with what Heliograph's own never has.
struct TestClaims: JWTPayload {
    struct Room: Codable, Sendable {
        var match: String
        var can: [String]?
    }

    var sub: String?
    var exp: Double? = Date().timeIntervalSince1970 + 3_600
    var device: String?
    var role: String?
    var rooms: [Room]?

    func verify(using algorithm: some JWTAlgorithm) async throws {}

    func signed(with secret: TokenSecret) async throws -> String {
        try await JWTKeyCollection().add(hmac: HMACKey(from: secret.bytes), digestAlgorithm: .sha256).sign(self)
    }
}
