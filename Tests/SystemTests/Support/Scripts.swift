import Foundation
import LocalMesh
import MeshCore
import Testing

/// Scripts of Tests/SystemTests/Python: clients made of libraries that nobody here wrote. Each prints what is wrong and exits with 1.
extension MeshUnderTest {
    /// Runs a script to its end and expects that all its checks have passed.
    func expectPasses(
        _ script: String, _ arguments: String..., environment: [String: String] = [:], within limit: Duration = .seconds(90),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await start(script, arguments, environment: environment).end(within: limit)
        let passed = result.code == 0 && result.output.contains("all checks passed")
        #expect(passed, "\(script) \(arguments): \(result.output)\n\(result.errors)", sourceLocation: sourceLocation)
    }

    func start(_ script: String, _ arguments: [String] = [], environment: [String: String] = [:]) async throws -> RunningProgram {
        let python = ProcessInfo.processInfo.environment["HELIOGRAPH_TEST_PYTHON"] ?? Program.top + "/.venv/bin/python"
        try #require(
            FileManager.default.isExecutableFile(atPath: python),
            "\(python) is not there: ops/test makes it, or set HELIOGRAPH_TEST_PYTHON to a Python with what requirements.txt names")
        let settings = try await settings.merging(environment) { $1 }
        let program = try RunningProgram(python, [Program.top + "/Tests/SystemTests/Python/" + script] + arguments, environment: settings)
        program.closeInput()
        return program
    }

    /// What the scripts are told of the mesh.
    private var settings: [String: String] {
        get async throws {
            let (here, there) = try await (node("eu-west"), node("us-east"))
            let (alice, bob) = (Self.unique("py-alice"), Self.unique("py-bob"))
            return try await [
                "HELIOGRAPH_EU": here.clientURL, "HELIOGRAPH_US": there.clientURL, "HELIOGRAPH_EU_OPERATIONS": here.operationsURL,
                "HELIOGRAPH_CA": local.trustFile ?? "", "HELIOGRAPH_ALICE": token(alice), "HELIOGRAPH_BOB": token(bob),
                "HELIOGRAPH_ALICE_USER": alice, "HELIOGRAPH_BOB_USER": bob,
                "HELIOGRAPH_ROOM": Self.unique("ap-south/python"), "HELIOGRAPH_COMPRESSION": "deflate", "PYTHONDONTWRITEBYTECODE": "1",
            ]
        }
    }
}
