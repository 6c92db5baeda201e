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

    @Option(help: "Operations listener of any node, such as http://127.0.0.1:7200.")
    var url: String

    @Option(help: "For https://: PEM file of the authorities to trust, instead of those of the system.")
    var ca: String?

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
        let base = ReportRequest.base(url)
        let span = TimeSpan.seconds(max(1, timeout))
        async let regions = ReportRequest.fetch(RegionsReport.self, base + "/v1/regions", ca: ca, timeout: span, statuses: [200])
        async let readiness = ReportRequest.fetch(Readiness.self, base + "/readyz", ca: ca, timeout: span, statuses: [200, 503])
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

/// Fetches a report and reads it.
enum ReportRequest {
    /// Without the slash at its end, so that paths can follow.
    static func base(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }

    static func body(_ url: String, ca: String?, timeout: TimeSpan, statuses: Set<Int>) async throws -> [UInt8] {
        let answer = try await HTTPGet.fetch(url, trustFile: ca, timeout: timeout)
        let body = Array(answer.body.readableBytesView)
        guard statuses.contains(answer.status) else {
            let reason = (try? JSONDecoder().decode(ErrorReport.self, from: Data(body)))?.error ?? "no report"
            throw ReportFault(description: "\(url) answered \(answer.status): \(reason)")
        }
        return body
    }

    static func fetch<Report: Decodable & Sendable>(
        _ type: Report.Type, _ url: String, ca: String?, timeout: TimeSpan, statuses: Set<Int>
    ) async throws -> Report {
        let body = try await body(url, ca: ca, timeout: timeout, statuses: statuses)
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw ReportFault(description: "\(url) answered with something that is not the report")
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
