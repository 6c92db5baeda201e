import Foundation
import LocalMesh
import MeshCore

/// One run of `heliograph up`: progress, the table, and what signals and deaths do.
struct UpSession {
    let options: LocalMeshOptions
    let binary: String
    let invokedAs: String

    private enum Wake: Sendable {
        case signal(Int32)
        case started(Result<LocalMesh, any Error>)
        case nothingLeft
        case stopped
    }

    /// Returns the exit code: 0 after a signal, 1 when the mesh could not be started or none of it is left.
    func run() async -> Int32 {
        let (wakes, wake) = AsyncStream.makeStream(of: Wake.self)
        let signals = SignalSources([SIGINT, SIGTERM, SIGHUP]) { wake.yield(.signal($0)) }
        defer { signals.cancel() }
        say("data and logs are in \(URL(fileURLWithPath: options.dataDirectory).standardizedFileURL.path)")
        let start = startMesh(wake)
        var mesh: LocalMesh?
        var code: Int32?

        for await event in wakes {
            switch event {
            case .signal(let signal):
                if code != nil { killAtOnce(signal) }
                code = 0
                start.cancel()
                if let mesh { stop(mesh, wake) }
            case .nothingLeft where code == nil:
                code = 1
                if let mesh { stop(mesh, wake) }
            case .nothingLeft: break
            case .started(.success(let started)):
                mesh = started
                if code == nil { await greet(started) } else { stop(started, wake) }
            case .started(.failure(let error)):
                if code == nil { complain("\(error)") }
                return code ?? 1
            case .stopped: return code ?? 0
            }
        }
        return code ?? 0
    }

    private func startMesh(_ wake: AsyncStream<Wake>.Continuation) -> Task<Void, Never> {
        Task {
            do {
                let mesh = try await LocalMesh.start(options, binary: binary) { event in
                    say(MeshReport.text(event))
                    if event == .nothingLeft { wake.yield(.nothingLeft) }
                }
                wake.yield(.started(.success(mesh)))
            } catch {
                wake.yield(.started(.failure(error)))
            }
        }
    }

    private func stop(_ mesh: LocalMesh, _ wake: AsyncStream<Wake>.Continuation) {
        Task {
            await mesh.stop()
            wake.yield(.stopped)
        }
    }

    /// The kernel kills the children with this process.
    private func killAtOnce(_ signal: Int32) -> Never {
        if let path = options.readyFile { unlink(path) }
        _exit(128 + signal)
    }

    private func greet(_ mesh: LocalMesh) async {
        let regions = await mesh.regions
        let chats = MeshReport.chatCommands(regions, invokedAs: invokedAs, secretFile: mesh.tokenSecretFile, trustFile: mesh.trustFile)
        say("\nThe mesh is up.\n\n\(MeshReport.table(regions))\n\nTwo people in two regions, each in a terminal of their own:\n")
        for chat in chats { say("  \(chat)") }
        say("\nCtrl-C stops it.")
    }
}

/// Line by line at once, also into a pipe. A reader that has gone is no reason to stop the mesh.
private func say(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data("\(text)\n".utf8)) }
private func complain(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data("heliograph up: \(text)\n".utf8)) }
