import Foundation
import NIOCore

/// Asks the Redis of a benchmark, and has `redis-benchmark` measure it. Blocks.
final class BenchmarkRedis {
    private let port: Int
    private let socket: LoadSocket
    private let inbox = LoadInbox()
    private var unread = ""

    init(port: Int) throws {
        self.port = port
        socket = try LoadSocket(connectingTo: LoadTarget(host: "127.0.0.1", port: port), number: 0, tls: nil)
    }

    /// What a command answers: text, or a number as text. For commands with a single answer.
    func ask(_ words: [String]) throws -> String {
        var request = ByteBuffer(string: "*\(words.count)\r\n")
        for word in words { request.writeString("$\(word.utf8.count)\r\n\(word)\r\n") }
        try socket.send(request)
        let head = try line()
        switch head.first {
        case "+", ":": return String(head.dropFirst())
        case "$":
            let length = Int(head.dropFirst()) ?? 0
            while unread.utf8.count < length + 2 { try receive() }
            let text = String(decoding: unread.utf8.prefix(length), as: UTF8.self)
            unread = String(decoding: unread.utf8.dropFirst(length + 2), as: UTF8.self)
            return text
        default: throw BenchmarkError.serverFailed("Redis: \(words.prefix(3)): \(head)")
        }
    }

    private func line() throws -> String {
        while true {
            if let end = unread.firstRange(of: "\r\n") {
                defer { unread = String(unread[end.upperBound...]) }
                return String(unread[..<end.lowerBound])
            }
            try receive()
        }
    }

    private func receive() throws {
        try socket.receive(inbox) { bytes in unread += String(decoding: bytes, as: UTF8.self) }
    }

    /// A field of INFO.
    func info(_ section: String, _ field: String) throws -> String? {
        try ask(["INFO", section]).split(separator: "\r\n").first { $0.hasPrefix(field + ":") }.map {
            String($0.dropFirst(field.count + 1))
        }
    }

    /// Microseconds that the server has spent in scripts since its start.
    func scriptMicroseconds() throws -> Double {
        let figures = try info("commandstats", "cmdstat_evalsha")?.split(separator: ",") ?? []
        return figures.first { $0.hasPrefix("usec=") }.flatMap { Double($0.dropFirst(5)) } ?? 0
    }

    // MARK: redis-benchmark

    /// Runs a command again and again, as `redis-benchmark` does, and returns how often a second. `__rand_int__` stands for twelve digits that
    /// change.
    func benchmark(_ command: [String], times: Int, clients: Int, pipeline: Int) throws -> Double {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            [
                "redis-benchmark", "-h", "127.0.0.1", "-p", "\(port)", "-n", "\(times)", "-c", "\(clients)", "-P", "\(pipeline)", "-r",
                "\(CInt.max)", "--csv",
            ] + command
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0, let rate = Self.rate(of: text) else {
            throw BenchmarkError.serverFailed("redis-benchmark: \(text.suffix(300))")
        }
        return rate
    }

    /// From the last line: the name, the rate and six latencies, each in quotes.
    static func rate(of csv: String) -> Double? {
        guard let row = csv.split(separator: "\n").last else { return nil }
        let fields = row.components(separatedBy: "\",\"")
        return fields.count >= 8 ? Double(fields[fields.count - 7]) : nil
    }
}
