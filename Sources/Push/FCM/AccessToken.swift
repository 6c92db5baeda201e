import JWTKit
import MeshCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An OAuth 2 access token for a service account, by the JWT bearer grant (RFC 7523): kept until shortly before it ends.
actor AccessToken {
    static let scope = "https://www.googleapis.com/auth/firebase.messaging"
    /// A token is renewed this long before it ends.
    static let margin = TimeSpan.seconds(60)
    /// What an assertion asks for; the service gives no longer ones.
    private static let lifetimeSeconds: Int64 = 3_600

    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    private struct Claims: JWTPayload {
        var iss: String
        var scope: String
        var aud: String
        var iat: Int64
        var exp: Int64
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    private struct Grant: Decodable {
        var token: String
        var lifetimeSeconds: Int64

        enum CodingKeys: String, CodingKey {
            case token = "access_token"
            case lifetimeSeconds = "expires_in"
        }
    }

    private let account: ServiceAccount
    private let key: Insecure.RSA.PrivateKey
    private let client: any HTTPClient
    private let clock: @Sendable () -> WallMilliseconds
    private var current: (token: String, endsAt: WallMilliseconds)?
    /// One asks, the others wait for his answer.
    private var asking: Task<String, any Error>?

    /// - Throws: for a key that is no RSA private key in PEM.
    init(_ account: ServiceAccount, client: any HTTPClient, clock: @escaping @Sendable () -> WallMilliseconds) throws {
        self.account = account
        key = try Insecure.RSA.PrivateKey(pem: account.privateKey)
        self.client = client
        self.clock = clock
    }

    func token() async throws -> String {
        if let current, clock() < current.endsAt - WallMilliseconds(Self.margin.milliseconds) { return current.token }
        if let asking { return try await asking.value }
        let task = Task { try await ask() }
        asking = task
        defer { asking = nil }
        return try await task.value
    }

    /// The service has refused this token: the next one is new.
    func refused(_ token: String) {
        if current?.token == token { current = nil }
    }

    private func ask() async throws -> String {
        let response = try await client.send(try await request())
        guard response.status == 200 else { throw Refused(description: "the token endpoint answered HTTP \(response.status)") }
        let grant = try JSONDecoder().decode(Grant.self, from: Data(response.body.readableBytesView))
        current = (grant.token, clock() + min(max(0, grant.lifetimeSeconds), 86_400) * 1000)
        return grant.token
    }

    private func request() async throws -> HTTPRequest {
        let now = clock() / 1000
        let claims = Claims(
            iss: account.email, scope: Self.scope, aud: account.tokenAddress.description, iat: now, exp: now + Self.lifetimeSeconds)
        let kid = JWKIdentifier(string: account.keyID)
        let keys = await JWTKeyCollection().add(rsa: key, digestAlgorithm: .sha256, kid: kid)
        let assertion = try await keys.sign(claims, kid: kid)
        let body = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=\(assertion)"
        return HTTPRequest(
            target: account.tokenAddress.target, headers: [("content-type", "application/x-www-form-urlencoded")],
            body: ByteBuffer(string: body))
    }
}
