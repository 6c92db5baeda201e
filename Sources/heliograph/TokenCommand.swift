import ArgumentParser
import LocalMesh
import MeshConfiguration
import MeshCore

extension DevelopmentToken.Role: ExpressibleByArgument {}

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "token", abstract: "Print a client token (JWT, HS256) for development.")

    @Option(help: "The user: the token's `sub`.") var user: String
    @Option(help: "What the token allows.") var role = DevelopmentToken.Role.member
    @Option(help: "Binds the token to one device.") var device: String?
    @Option(help: ArgumentHelp("How long the token is good for.", valueName: "seconds")) var ttl = 3_600
    @Option(help: "The file with the secret that the mesh is configured with.") var secretFile: String

    func validate() throws {
        do throws(NameFault) { try NameRules.checkUser(user) } catch { throw ValidationError("--user: \(error)") }
        guard (1...31_536_000).contains(ttl) else { throw ValidationError("--ttl is 1 second to one year") }
    }

    func run() async throws {
        let secret = try TokenSecret(file: secretFile)
        print(try await DevelopmentToken(user: user, role: role, device: device, ttlSeconds: ttl).signed(with: secret))
    }
}
