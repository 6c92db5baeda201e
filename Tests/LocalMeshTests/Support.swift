import Foundation
import MeshCore
import Synchronization

@testable import LocalMesh

enum Support {
    static let fakeRelay = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fakes/fake-relay.py"

    /// The program under test lies beside the tests.
    static var heliograph: String {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().path + "/heliograph"
    }

    /// Neither gone nor a zombie that its new parent has not collected.
    static func isAlive(_ pid: Int32) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let end = stat.lastIndex(of: ")") else {
            return false
        }
        let state = stat[end...].dropFirst(2).first
        return state != "Z" && state != "X"
    }
}

/// A folder that goes with its test.
final class Folder: Sendable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("local-mesh-\(UUID())").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)")) }
    func read(_ name: String) -> String { (try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)) ?? "" }
    func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

    /// Two regions with a node each, on free ports.
    func options(_ change: (inout LocalMeshOptions) -> Void = { _ in }) -> LocalMeshOptions {
        var options = LocalMeshOptions(dataDirectory: path)
        options.regions = 2
        options.basePort = 0
        options.readyFile = path + "/ready.json"
        change(&options)
        return options
    }
}

/// What a mesh has reported.
final class Events: Sendable {
    private let list = Mutex<[MeshEvent]>([])
    @Sendable func append(_ event: MeshEvent) { list.withLock { $0.append(event) } }
    var all: [MeshEvent] { list.withLock { $0 } }
    var pids: [Int32] { all.compactMap { if case .started(_, let pid) = $0 { pid } else { nil } } }
    var deaths: [String] { all.compactMap { if case .died(let name, _, _, _) = $0 { name } else { nil } } }
}
