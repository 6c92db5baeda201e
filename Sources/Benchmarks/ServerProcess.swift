import Foundation

/// The parent's side of the pipe that `BenchmarkServerProcess` describes: a child that ends with it.
final class ServerProcess {
    private let process = Process()
    private let commands = Pipe()
    private let answers = Pipe()
    private var unread = Data()
    private(set) var address = BenchmarkAddress(port: 0)

    /// - Parameter arguments: of this same executable.
    init(arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        process.standardInput = commands
        process.standardOutput = answers
        try process.run()
        let words = try answer("ready")
        address = BenchmarkAddress(
            port: Int(words[0]) ?? 0, trustFile: words.count > 1 ? words[1] : nil, redisPort: words.count > 2 ? Int(words[2]) : nil)
    }

    var identifier: Int32 { process.processIdentifier }
    var residentBytes: Int { Machine.residentBytes(of: identifier) ?? 0 }

    func token(user: String) throws -> String {
        try ask("token \(user)", "token").first ?? ""
    }

    func counters() throws -> (sent: BenchmarkCounters, processorNanoseconds: UInt64) {
        let words = try ask("stats", "stats").compactMap { UInt64($0) }
        guard words.count == 5 else { throw BenchmarkError.serverFailed("bad stats") }
        let counters = BenchmarkCounters(sends: words[0], bytes: words[1], acknowledged: words[2], appendBatches: words[3])
        return (counters, words[4])
    }

    /// Ends the child, which cleans up behind itself, and waits for it.
    func stop() {
        try? commands.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    private func ask(_ command: String, _ expected: String) throws -> [String] {
        try commands.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8))
        return try answer(expected)
    }

    /// The words behind the expected one. Lines of anything else, such as logs, are passed over.
    private func answer(_ expected: String) throws -> [String] {
        while true {
            let words = try line().split(separator: " ").map(String.init)
            if words.first == expected { return Array(words.dropFirst()) + (words.count == 1 ? [""] : []) }
            if words.first == "error" { throw BenchmarkError.serverFailed(words.joined(separator: " ")) }
        }
    }

    private func line() throws -> String {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: unread[..<end], as: UTF8.self)
                unread = unread[unread.index(after: end)...]
                return line
            }
            let more = answers.fileHandleForReading.availableData
            guard !more.isEmpty else { throw BenchmarkError.serverFailed("the server process ended") }
            unread.append(more)
        }
    }
}

/// Why a benchmark has no result.
public enum BenchmarkError: Error, CustomStringConvertible {
    case serverFailed(String)
    case connectFailed(String)
    /// The server said something that the load generator did not expect.
    case protocolFailed(String)
    /// Deliveries ceased although messages were under way.
    case stalled(missing: UInt64)
    case connectionsLost(Int)

    public var description: String {
        switch self {
        case .serverFailed(let reason): "the server process failed: \(reason)"
        case .connectFailed(let reason): "cannot connect: \(reason)"
        case .protocolFailed(let reason): "unexpected answer: \(reason)"
        case .stalled(let missing): "deliveries ceased with \(missing) messages under way"
        case .connectionsLost(let count): "\(count) connections were lost"
        }
    }
}
