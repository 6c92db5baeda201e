import ArgumentParser
import Foundation
import LocalMesh
import MeshCore

extension LocalMeshOptions.StoreKind: ExpressibleByArgument {}

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run a whole mesh on this machine until Ctrl-C.",
        discussion: """
            Region i, node j listens for clients on base port + 10i + j, for operations 100 above and for other nodes 200 above; \
            its Redis is at base port + 300 + i. Children end with this process, however it ends.
            """)

    @Option(help: "Regions, 1 to \(LocalMeshOptions.regionsMax).") var regions = 3
    @Option(help: "Relay processes a region, 1 to \(LocalMeshOptions.nodesMax).") var nodes = 1
    @Option(help: "First port; 0 takes free ones.") var basePort = 7_100
    @Option(help: "Written as JSON when all nodes are ready.") var readyFile: String?
    @Option(help: "Folder for configuration, token secret, stores and logs.") var data = "data"
    @Option(help: "redis: a redis-server a region; embedded: in the relay's memory.") var store = LocalMeshOptions.StoreKind.redis
    @Flag(help: "Encrypt everything: clients, operations, mesh and stores, with certificates of an authority in the data folder.") var tls =
        false
    @Option(help: .hidden) var relayProgram: String?

    private var options: LocalMeshOptions {
        var options = LocalMeshOptions(dataDirectory: data)
        options.regions = regions
        options.nodes = nodes
        options.basePort = basePort
        options.readyFile = readyFile
        options.store = store
        options.tls = tls
        return options
    }

    func validate() throws {
        do throws(LocalMeshError) { try options.check() } catch { throw ValidationError(error.description) }
    }

    func run() async throws {
        let binary = try relayProgram ?? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let code = await UpSession(options: options, binary: binary, invokedAs: CommandLine.arguments.first ?? "heliograph").run()
        guard code == 0 else { throw ExitCode(code) }
    }
}
