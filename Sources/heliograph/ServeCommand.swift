import ArgumentParser
import Foundation
import Logging
import MeshConfiguration
import Relay
import ServiceLifecycle

/// One relay process.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run one relay process.",
        discussion: """
            SIGTERM and SIGINT drain: sessions are told where to go. A second one ends at once. SIGHUP reads certificates again.
            """)

    @Option(help: "The region's configuration file, such as regions/eu-west.yaml.")
    var config: String

    @Option(help: "Which of the region's nodes this is; by default the one that the file names.")
    var node: String?

    @Flag(help: "Only validate the configuration.")
    var check = false

    func run() async throws {
        let configuration: NodeConfiguration
        switch ConfigurationLoader.load(path: config, node: node) {
        case .success(let loaded): configuration = loaded
        case .failure(let errors):
            FileHandle.standardError.write(Data("\(errors)\n".utf8))
            throw ExitCode.badConfiguration
        }
        if check {
            print("\(config) is valid: node \(configuration.node) of mesh \(configuration.mesh.name)")
            return
        }
        try await serve(configuration)
    }

    private func serve(_ configuration: NodeConfiguration) async throws {
        bootstrapLogging(configuration.logging)
        let logger = Logger(label: "heliograph")
        let relay = RelayNode(configuration: configuration, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: relay, successTerminationBehavior: .gracefullyShutdownGroup)], logger: logger))
        let stops = StopCounter()
        let signals = SignalSources([SIGTERM, SIGINT, SIGHUP]) { signal in
            guard signal != SIGHUP else { return relay.reloadCertificates() }
            guard stops.next() == 1 else { _exit(1) }
            Task { await group.triggerGracefulShutdown() }
        }
        defer { signals.cancel() }
        do {
            try await group.run()
        } catch {
            logger.critical("the relay cannot run", metadata: ["error": "\(error)"])
            throw ExitCode.failure
        }
    }
}
