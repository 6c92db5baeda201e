import Foundation
import Store
import TLS
import Testing

/// A real redis-server in a folder of its own, on a Unix socket or a free port. It dies with the test process, whatever happens to it.
final class RedisServer {
    enum Listener {
        case unixSocket
        case port(Int)
        /// Clients must present a certificate of the same authority.
        case encrypted(Int, TLSCertificateFiles, ca: String)
    }

    struct Failure: Error { let text: String }

    let directory: URL
    let address: RedisAddress
    private let arguments: [String]
    /// What redis-cli needs beside the address.
    private var secrets: [String] = []
    /// A shell that watches this process and kills the server when it is gone.
    private var guardian: Process?
    private var pid: pid_t = 0

    /// - Parameter persistent: whether `restart` finds what was there.
    init(listener: Listener = .unixSocket, persistent: Bool = false, extra: [String] = []) throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("hg-store-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let socket = directory.appendingPathComponent("redis.sock").path
        let listening: [String]
        switch listener {
        case .unixSocket:
            address = .unixSocket(path: socket)
            listening = ["--port", "0", "--unixsocket", socket]
        case .port(let port):
            address = .host("127.0.0.1", port: port)
            listening = ["--port", "\(port)", "--bind", "127.0.0.1"]
        case .encrypted(let port, let files, let ca):
            address = .host("127.0.0.1", port: port)
            let certificates = ["--tls-cert-file", files.chain, "--tls-key-file", files.key, "--tls-ca-cert-file", ca]
            listening = ["--port", "0", "--tls-port", "\(port)", "--bind", "127.0.0.1", "--tls-auth-clients", "yes"] + certificates
            secrets = ["--tls", "--cert", files.chain, "--key", files.key, "--cacert", ca]
        }
        let persistence = persistent ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"]
        arguments = listening + ["--dir", directory.path, "--save", ""] + persistence + extra
        try start()
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: directory)
    }

    /// Starts the server and waits until it answers.
    func start() throws {
        // Asks for its parent, not whether the test process exists: that is a zombie until somebody reaps it.
        let script = """
            redis-server "$@" >>redis.log 2>&1 & server=$!
            echo $server
            while read -r _ _ _ parent _ </proc/$$/stat && [ "$parent" = \(ProcessInfo.processInfo.processIdentifier) ]; do sleep 0.3; done
            kill -9 $server
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, "redis"] + arguments
        process.currentDirectoryURL = directory
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        guardian = process
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let pid = pid_t(line.trimmingCharacters(in: .whitespacesAndNewlines)) else { throw Failure(text: "no pid: \(line)") }
        self.pid = pid
        try waitUntil("redis-server answers") { (try? run("PING")) == "PONG" }
    }

    /// As a crash: SIGKILL.
    func stop() {
        guard let guardian else { return }
        // The server first: a stopped one is let go on by the kernel when its guardian is gone, and would answer what it was sent.
        kill(pid, SIGKILL)
        kill(guardian.processIdentifier, SIGKILL)
        guardian.waitUntilExit()
        self.guardian = nil
    }

    func restart() throws {
        stop()
        try start()
    }

    /// Stopped when this returns: not before then does it leave unread what is sent to it.
    func pause() throws {
        kill(pid, SIGSTOP)
        let path = "/proc/\(pid)/stat"
        try waitUntil("Redis is stopped") {
            // The state stands behind the name, which is in parentheses.
            try String(contentsOfFile: path, encoding: .utf8).split(separator: ")").last?.hasPrefix(" T") == true
        }
    }
    func resume() { kill(pid, SIGCONT) }
    func wipe() throws { _ = try run("FLUSHALL") }

    /// The server's own clock.
    func timeMs() throws -> Int {
        let parts = try run("TIME").split(separator: "\n").compactMap { Int($0) }
        guard parts.count == 2 else { throw Failure(text: "TIME: \(parts)") }
        return parts[0] * 1000 + parts[1] / 1000
    }

    /// One command through redis-cli, which shares no code with what is tested. Error replies are text too.
    @discardableResult
    func run(_ command: String...) throws -> String { try redisCLI(command) }

    /// Many commands, one reply line each.
    func run(lines: [String]) throws -> [String] {
        try redisCLI([], input: lines.joined(separator: "\n") + "\n").split(separator: "\n").map(String.init)
    }

    private func redisCLI(_ command: [String], input: String? = nil) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let target: [String]
        switch address {
        case .unixSocket(let path): target = ["-s", path]
        case .host(let host, let port): target = ["-h", host, "-p", "\(port)"]
        }
        process.arguments = ["redis-cli"] + target + secrets + command
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let file = directory.appendingPathComponent("input-\(UUID().uuidString)")
        try (input ?? "").write(to: file, atomically: true, encoding: .utf8)
        process.standardInput = try FileHandle(forReadingFrom: file)
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A port that nobody listened on a moment ago.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(text: "socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | getsockname(descriptor, $0, &length)
            }
        }
        guard result == 0 else { throw Failure(text: "bind") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
