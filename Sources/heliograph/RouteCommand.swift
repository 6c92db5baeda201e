import ArgumentParser
import HeliographClient
import MeshCore
import Operations

/// `heliograph route`: where a user or a room is at home, why, and which edges to connect to.
struct RouteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Shows where a user or a room is at home, and why.")

    @Option(help: "Client listener of any node, such as http://127.0.0.1:7100 or https://relay.example.")
    var url: String

    @OptionGroup(title: "TLS") var tls: TLSArguments

    @Option(help: "A user, such as alice: her home is that of the room @alice.")
    var user: String?

    @Option(help: "A room, such as lobby or eu/lobby.")
    var room: String?

    @Option(help: "Seconds to wait for an answer.")
    var timeout: Int = 5

    @Flag(help: "Print the answer as JSON, as it came.")
    var json = false

    func validate() throws {
        guard (user == nil) != (room == nil) else { throw ValidationError("Give either --user or --room.") }
    }

    func run() async throws {
        do {
            try await show()
        } catch let error as ReportFault {
            throw CommandFailure.report(error)
        } catch let error as HTTPGetError {
            throw CommandFailure.report(error)
        }
    }

    private func show() async throws {
        let query = user.map { "user=" + PercentEncoding.encode($0) } ?? "room=" + PercentEncoding.encode(room ?? "")
        let requests = ReportRequest(base: url, tls: tls.options, timeout: .seconds(max(1, timeout)))
        if json {
            let body = try await requests.body("/v1/route?" + query, statuses: [200])
            print(String(decoding: body, as: UTF8.self))
        } else {
            let route = try await requests.fetch(RouteReport.self, "/v1/route?" + query, statuses: [200])
            print(RouteText.render(route), terminator: "")
        }
    }
}
