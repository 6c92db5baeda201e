import ArgumentParser
import Foundation
import HeliographClient
import LocalMesh
import MeshConfiguration
import MeshCore

/// `heliograph chat`: a terminal client for one room.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk in a room from the terminal.",
        discussion: """
            On a terminal: a prompt that incoming lines do not disturb; /help lists the commands. With piped input every line \
            is a message, output is plain, and the command ends when all of them are answered. NO_COLOR switches colour off.
            """)

    @Option(help: "A relay: wss://HOST:PORT or https://HOST:PORT, or ws: and http: without encryption.") var url: String
    @Option(help: "Your name.") var user: String
    @Option(help: "The room to talk in.") var room: String
    @Option(help: "A token for this user.") var token: String?
    @Option(help: "The mesh's secret, to make a token with.") var secretFile: String?
    @OptionGroup(title: "Transport") var transport: TransportArguments
    @OptionGroup(title: "TLS") var tls: TLSArguments

    func validate() throws {
        do throws(NameFault) { try NameRules.checkUser(user) } catch { throw ValidationError("--user: \(error)") }
        do throws(NameFault) { try NameRules.checkRoom(room) } catch { throw ValidationError("--room: \(error)") }
        guard (token == nil) != (secretFile == nil) else { throw ValidationError("give either --token or --secret-file") }
    }

    func run() async throws {
        let secret = try secretFile.map { try TokenSecret(file: $0) }
        let (user, room, token) = (user, room, token)
        var options = ClientOptions()
        options.transport = transport.clientTransport
        options.tls = tls.options
        do {
            let client = try await HeliographClient.connect(url: url, options: options) {
                if let token { return token }
                guard let secret else { return "" }
                return try await DevelopmentToken(user: user).signed(with: secret)
            }
            try await ChatSession.run(client: client, room: room, user: user)
        } catch let error as HeliographClientError {
            FileHandle.standardError.write(Data("chat: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }
}
