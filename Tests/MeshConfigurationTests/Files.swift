import Foundation
import MeshConfiguration

/// A folder with a configuration that is right, for tests to break.
final class Files {
    let folder: String

    static let mesh = """
        name: test-mesh
        token:
          secretFile: token.secret
        placements:
          eu: [eu-west]
        regions:
          - region: eu-west
            weight: 100
            nodes:
              - node: eu-west-0
                client: 127.0.0.1:7100
                operations: 127.0.0.1:7200
                mesh: 127.0.0.1:7300
              - node: eu-west-1
                client: 127.0.0.1:7101
                operations: 127.0.0.1:7201
                mesh: 127.0.0.1:7301
                clientURL: https://chat.example/
          - region: us-east
            nodes:
              - node: us-east-0
                client: 127.0.0.1:7110
                operations: 127.0.0.1:7210
                mesh: "[::1]:7310"
        """

    static let region = """
        region: eu-west
        mesh: mesh.yaml
        node: eu-west-0
        store:
          kind: redis
          redis: 127.0.0.1:7400
        cells: 3
        logging:
          level: debug
          format: json
        limits:
          maxFrameBytes: 32KiB
          connectionsMax: 1_000
        timings:
          heartbeatDefault: 20s
          linkPing: 250ms
        """

    init(mesh: String = Files.mesh, region: String = Files.region, secret: String? = String(repeating: "s", count: 32) + "\n") throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("configuration-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try write(mesh, "mesh.yaml")
        try write(region, "eu-west.yaml")
        if let secret { try write(secret, "token.secret") }
    }

    func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }

    func load(node: String? = nil) -> Result<NodeConfiguration, ConfigurationErrors> {
        ConfigurationLoader.load(path: "\(folder)/eu-west.yaml", node: node)
    }

    /// The errors of a load without the folder: `mesh.yaml:3: token.secretFile: the secret is empty`.
    func errors(node: String? = nil) -> [String] {
        guard case .failure(let errors) = load(node: node) else { return [] }
        return errors.errors.map { $0.description.replacing(folder + "/", with: "") }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}
