import Foundation
import TLS

/// Asks children whether they can be used.
enum ReadinessProbe {
    enum Answer: Hashable, Sendable {
        case ready
        /// With what is known of the reason.
        case notYet(String)
    }

    private static let timeoutMs = 1_000

    /// `GET /readyz` on an operations listener.
    static func node(operationsPort: Int, _ encryption: TLSContext? = nil) async -> Answer {
        await offPool {
            let request = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:\(operationsPort)\r\nConnection: close\r\n\r\n"
            guard
                let response = LoopbackSocket.exchange(
                    port: operationsPort, request: request, encryption: encryption, timeoutMs: timeoutMs, isComplete: { _ in false })
            else { return .notYet("does not answer yet") }
            return read(String(decoding: response, as: UTF8.self))
        }
    }

    /// PING. A Redis that still loads its file answers `-LOADING`.
    static func redis(port: Int, _ encryption: TLSContext? = nil) async -> Answer {
        await offPool {
            let response = LoopbackSocket.exchange(port: port, request: "PING\r\n", encryption: encryption, timeoutMs: timeoutMs) {
                $0.last == UInt8(ascii: "\n")
            }
            guard let response else { return .notYet("does not answer yet") }
            let line = String(decoding: response, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return line == "+PONG" ? .ready : .notYet(line)
        }
    }

    private struct Report: Decodable {
        struct Check: Decodable {
            var name: String
            var ok: Bool
            var detail: String?
        }
        var checks: [Check]
    }

    static func read(_ response: String) -> Answer {
        let status = response.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) }
        if status == 200 { return .ready }
        guard let start = response.firstIndex(of: "{"), let end = response.lastIndex(of: "}"), start < end,
            let report = try? JSONDecoder().decode(Report.self, from: Data(response[start...end].utf8))
        else { return .notYet(status.map { "answers \($0)" } ?? "does not answer in HTTP") }
        let failing = report.checks.filter { !$0.ok }.map { check in check.detail.map { "\(check.name): \($0)" } ?? check.name }
        return .notYet(failing.isEmpty ? "answers \(status ?? 0)" : failing.joined(separator: ", "))
    }

    /// The exchange blocks, and the threads of Swift's own pool are few.
    private static func offPool(_ body: @escaping @Sendable () -> Answer) async -> Answer {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: body()) }
        }
    }
}
