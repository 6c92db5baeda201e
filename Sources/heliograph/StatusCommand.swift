import ArgumentParser
import Foundation
import HeliographClient
import MeshCore
import NIOCore
import Operations

/// `heliograph status`: region health as the asked node sees it.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the health of all regions as one node sees it.")

    @Option(help: "Operations listener of any node, such as http://127.0.0.1:7200 or https://relay.example:7200.")
    var url: String

    @OptionGroup(title: "TLS") var tls: TLSArguments

    @Option(help: "Seconds to wait for an answer.")
    var timeout: Int = 5

    @Flag(help: "Print the reports as one JSON object.")
    var json = false

    func run() async throws {
        do {
            let report = try await fetch()
            print(json ? try report.json() : StatusTable.render(report.regions, report.readiness), terminator: json ? "\n" : "")
        } catch let error as ReportFault {
            throw CommandFailure.report(error)
        } catch let error as HTTPGetError {
            throw CommandFailure.report(error)
        }
    }

    private func fetch() async throws -> Report {
        let requests = ReportRequest(base: url, tls: tls.options, timeout: .seconds(max(1, timeout)))
        async let regions = requests.fetch(RegionsReport.self, "/v1/regions", statuses: [200])
        async let readiness = requests.fetch(Readiness.self, "/readyz", statuses: [200, 503])
        return try await Report(regions: regions, readiness: readiness)
    }

    private struct Report: Encodable {
        var regions: RegionsReport
        var readiness: Readiness

        func json() throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}

/// What a listener answered in place of the report.
struct ReportFault: Error, CustomStringConvertible {
    let description: String
}

/// Fetches reports from one listener and reads them.
struct ReportRequest: Sendable {
    private let base: String
    private let tls: ClientTLSOptions
    private let timeout: TimeSpan

    /// - Parameter base: the URL of the listener; a slash at its end makes no difference.
    init(base url: String, tls: ClientTLSOptions, timeout: TimeSpan) {
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.tls = tls
        self.timeout = timeout
    }

    func body(_ path: String, statuses: Set<Int>) async throws -> [UInt8] {
        let url = base + path
        let answer = try await HTTPGet.fetch(url, tls: tls, timeout: timeout)
        let body = Array(answer.body.readableBytesView)
        guard statuses.contains(answer.status) else {
            let reason = (try? JSONDecoder().decode(ErrorReport.self, from: Data(body)))?.error ?? "no report"
            throw ReportFault(description: "\(url) answered \(answer.status): \(reason)")
        }
        return body
    }

    func fetch<Report: Decodable & Sendable>(_ type: Report.Type, _ path: String, statuses: Set<Int>) async throws -> Report {
        let body = try await body(path, statuses: statuses)
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw ReportFault(description: "\(base + path) answered with something that is not the report")
        }
    }
}

/// Says why a command failed and ends it with exit code 1.
enum CommandFailure {
    static func report(_ error: any Error) -> ExitCode {
        FileHandle.standardError.write(Data("heliograph: \(error)\n".utf8))
        return ExitCode(1)
    }
}
