import MeshCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A Google service account, as its JSON file has it.
public struct ServiceAccount: Hashable, Sendable {
    public var projectID: String
    public var keyID: String
    /// PEM.
    public var privateKey: String
    public var email: String
    /// Where access tokens are to be had.
    public var tokenAddress: WebAddress

    private struct File: Decodable {
        var projectID: String
        var keyID: String
        var privateKey: String
        var email: String
        var tokenURL: String

        enum CodingKeys: String, CodingKey {
            case projectID = "project_id"
            case keyID = "private_key_id"
            case privateKey = "private_key"
            case email = "client_email"
            case tokenURL = "token_uri"
        }
    }

    /// Nil for bytes that are no such file, or lack a field.
    public init?(json: [UInt8]) {
        guard let file = try? JSONDecoder().decode(File.self, from: Data(json)), let address = WebAddress(file.tokenURL) else {
            return nil
        }
        (projectID, keyID, privateKey) = (file.projectID, file.keyID, file.privateKey)
        (email, tokenAddress) = (file.email, address)
    }
}
