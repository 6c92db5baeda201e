import Foundation
import MeshCore
import Synchronization
import Testing

/// Processes beside the mesh: the command line under test, redis-cli, Python.
enum Program {
    /// The program under test lies beside the tests.
    static var heliograph: String {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().path + "/heliograph"
    }

    /// The top of the repository.
    static let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    struct Result: Sendable {
        var code: Int32
        var output: String
        var errors: String
    }

    /// Runs a program to its end.
    static func run(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], within limit: Duration = .seconds(20)
    ) async throws -> Result {
        let program = try RunningProgram(executable, arguments, environment: environment)
        program.closeInput()
        return try await program.end(within: limit)
    }

    static func redis(_ url: String, _ words: String...) async throws -> String {
        let result = try await run("redis-cli", ["-u", url, "--raw"] + words)
        guard result.code == 0 else { throw SystemTestError("redis-cli \(words): \(result.errors)") }
        return result.output.trimmingCharacters(in: .newlines)
    }
}

/// A process with pipes. It dies with the thread that has started it, and at the latest with the tests.
final class RunningProgram: Sendable {
    private let process: Mutex<Process>
    private let input: FileHandle
    private let collected = Mutex((output: Data(), errors: Data()))
    private let readers = DispatchGroup()
    let pid: Int32

    init(_ executable: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [executable] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, errors)
        try process.run()
        pid = process.processIdentifier
        self.input = input.fileHandleForWriting
        self.process = Mutex(process)
        Children.shared.add(pid)
        collect(output.fileHandleForReading) { $0.output.append($1) }
        collect(errors.fileHandleForReading) { $0.errors.append($1) }
    }

    private func collect(_ handle: FileHandle, _ append: @escaping @Sendable (inout (output: Data, errors: Data), Data) -> Void) {
        readers.enter()
        Thread { [self] in
            while true {
                let data = handle.availableData
                guard !data.isEmpty else { break }
                collected.withLock { append(&$0, data) }
            }
            readers.leave()
        }.start()
    }

    var output: String { collected.withLock { String(decoding: $0.output, as: UTF8.self) } }
    var errors: String { collected.withLock { String(decoding: $0.errors, as: UTF8.self) } }
    var isRunning: Bool { process.withLock { $0.isRunning } }

    func write(_ text: String) throws { try input.write(contentsOf: Data(text.utf8)) }
    func closeInput() { try? input.close() }
    func signal(_ signal: Int32) { process.withLock { if $0.isRunning { kill(pid, signal) } } }

    func end(within limit: Duration = .seconds(20)) async throws -> Program.Result {
        do {
            try await eventually("\(pid) ends; said: \(output) \(errors)", within: limit) { !isRunning }
        } catch {
            signal(SIGKILL)
            throw error
        }
        Children.shared.remove(pid)
        _ = readers.wait(timeout: .now() + 2)
        let code = process.withLock { $0.terminationReason == .exit ? $0.terminationStatus : 128 + $0.terminationStatus }
        return Program.Result(code: code, output: output, errors: errors)
    }
}

/// Those that are left at exit are killed.
private final class Children: Sendable {
    static let shared = Children()
    private let pids = Mutex<Set<Int32>>([])

    private init() {
        atexit { Children.shared.pids.withLock { for pid in $0 { kill(pid, SIGKILL) } } }
    }

    func add(_ pid: Int32) { pids.withLock { _ = $0.insert(pid) } }
    func remove(_ pid: Int32) { pids.withLock { _ = $0.remove(pid) } }
}
