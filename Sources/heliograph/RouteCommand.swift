import ArgumentParser
import HeliographClient
import MeshCore
import Operations

/// `heliograph route`: where a user or a room is at home, why, and which edges to connect to.
struct RouteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Shows where a user or a room is at home, and why.")

    @Option(help: "Client listener of any node, such as http://127.0.0.1:7100.")
    var url: String

    @Option(help: "A user, such as alice: her home is that of the room @alice.")
    var user: String?

    @Option(help: "A room, such as lobby or eu/lobby.")
    var room: String?

    @Option(help: "For https://: PEM file of the authorities to trust, instead of those of the system.")
    var ca: String?

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
        let address = ReportRequest.base(url) + "/v1/route?" + query
        let span = TimeSpan.seconds(max(1, timeout))
        if json {
            let body = try await ReportRequest.body(address, ca: ca, timeout: span, statuses: [200])
            print(String(decoding: body, as: UTF8.self))
        } else {
            let route = try await ReportRequest.fetch(RouteReport.self, address, ca: ca, timeout: span, statuses: [200])
            print(RouteText.render(route), terminator: "")
        }
    }
}
