import JWTKit
import MeshCore

/// The token that proves to Apple's service who we are: a JWT signed with ES256, used for 40 minutes (the service takes it for 60, and
/// wants no new one within 20).
actor ProviderToken {
    static let renewAfter = TimeSpan.seconds(40 * 60)

    private struct Claims: JWTPayload {
        var iss: String
        var iat: Int64
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    private let key: ES256PrivateKey
    private let keyID: String
    private let teamID: String
    private let clock: @Sendable () -> WallMilliseconds
    private var current: (token: String, issuedAt: WallMilliseconds)?
    /// One signs, the others wait for it.
    private var signing: Task<String, any Error>?

    /// - Throws: for a key that is no P-256 private key in PEM.
    init(pem: String, keyID: String, teamID: String, clock: @escaping @Sendable () -> WallMilliseconds) throws {
        key = try ES256PrivateKey(pem: pem)
        self.keyID = keyID
        self.teamID = teamID
        self.clock = clock
    }

    func token() async throws -> String {
        if let current, clock() - current.issuedAt < WallMilliseconds(Self.renewAfter.milliseconds) { return current.token }
        if let signing { return try await signing.value }
        let task = Task { try await sign() }
        signing = task
        defer { signing = nil }
        return try await task.value
    }

    private func sign() async throws -> String {
        let now = clock()
        let kid = JWKIdentifier(string: keyID)
        let keys = await JWTKeyCollection().add(ecdsa: key, kid: kid)
        let token = try await keys.sign(Claims(iss: teamID, iat: now / 1000), kid: kid)
        current = (token, now)
        return token
    }

    /// The service has called this token expired: the next one is new.
    func expired(_ token: String) {
        if current?.token == token { current = nil }
    }
}
