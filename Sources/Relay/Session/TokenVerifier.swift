import JWTKit
import MeshCore
import Session

/// Checks client tokens: JWTs signed with HS256.
struct TokenVerifier: Sendable {
    private let keys: JWTKeyCollection

    init(secret: [UInt8]) async {
        keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
    }

    enum Fault: Error, Hashable, Sendable {
        /// With what is wrong, as told to the client.
        case invalid(String)
        case expired
    }

    private struct Claims: JWTPayload {
        struct Room: Codable, Sendable {
            var match: String
            var can: [String]?
        }

        var sub: String?
        var exp: Double?
        var device: String?
        var role: String?
        var rooms: [Room]?

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// - Parameter now: milliseconds since 1970.
    func verify(_ token: String, now: WallMilliseconds) async -> Result<Grants, Fault> {
        guard let claims = try? await keys.verify(token, as: Claims.self) else {
            return .failure(.invalid("the token is not one of this mesh, or its signature is wrong"))
        }
        guard let user = claims.sub else { return .failure(.invalid("the token names no user (sub)")) }
        guard let expiry = claims.exp, expiry.magnitude < 1e12 else { return .failure(.invalid("the token has no usable expiry (exp)")) }
        guard Int64(expiry) * 1000 > now else { return .failure(.expired) }
        do throws(NameFault) {
            try NameCheck.user(user)
        } catch {
            return .failure(.invalid("the token's user is no valid id: \(error)"))
        }
        guard let role = Role(rawValue: claims.role ?? Role.member.rawValue) else {
            return .failure(.invalid("the token's role is not admin, member or guest"))
        }
        return .success(
            Grants(user: user, device: claims.device, role: role, rooms: claims.rooms?.map { grant($0, role) }, expiresAt: Int64(expiry)))
    }

    /// A grant without `can` allows what the role allows. Permissions of a newer version are passed over.
    private func grant(_ room: Claims.Room, _ role: Role) -> Grants.RoomGrant {
        let named = room.can.map { Set($0.compactMap(Permission.init)) }
        return Grants.RoomGrant(match: room.match, can: named ?? role.permissions)
    }
}
