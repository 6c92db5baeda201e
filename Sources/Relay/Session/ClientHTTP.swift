import Foundation
import MeshConfiguration
import MeshCore
import Operations
import Transport
import View

/// The HTTP endpoints of the client listener: which region is near, and where a room or user is routed.
struct ClientHTTP {
    let cell: Cell

    func answer(_ question: HTTPQuestion) -> HTTPAnswer {
        switch question.path {
        case "/v1/ping": only(["GET", "HEAD", "OPTIONS"], question) { ping(question) }
        case "/v1/route": only(["GET", "HEAD"], question) { route(question) }
        default: problem(404, "no such path: \(question.path)")
        }
    }

    private func only(_ methods: [String], _ question: HTTPQuestion, _ body: () -> HTTPAnswer) -> HTTPAnswer {
        guard !methods.contains(question.method) else { return body() }
        var answer = problem(405, "\(question.method) is not allowed here")
        answer.headers.append((name: "allow", value: methods.joined(separator: ", ")))
        return answer
    }

    private func ping(_ question: HTTPQuestion) -> HTTPAnswer {
        HTTPAnswer(
            status: 204,
            headers: cors + [
                (name: "heliograph-region", value: cell.context.region.name), (name: "cache-control", value: "no-store"),
                (name: "timing-allow-origin", value: "*"),
            ])
    }

    private var cors: [(name: String, value: String)] {
        [
            (name: "access-control-allow-origin", value: "*"), (name: "access-control-allow-methods", value: "GET, HEAD, OPTIONS"),
            (name: "access-control-expose-headers", value: "heliograph-region"),
        ]
    }

    private func route(_ question: HTTPQuestion) -> HTTPAnswer {
        let room: String
        do throws(NameFault) {
            switch (question.query["user"], question.query["room"]) {
            case (let user?, nil):
                try NameCheck.user(user)
                room = NameRules.inbox(of: user)
            case (nil, let name?):
                try NameCheck.room(name)
                room = name
            default: return problem(400, "give either user or room")
            }
        } catch {
            return problem(400, "\(error)")
        }
        let view = cell.topology.view
        let homes = view.homes(of: room)
        let route = RouteReport(
            room: room, shard: Shard(room: room).number, home: homes.home?.name, standby: homes.standby?.name, view: view.epoch,
            edges: edges(home: homes.home))
        guard let body = try? JSONEncoder.sorted.encode(route) else { return problem(500, "internal") }
        return HTTPAnswer(status: 200, headers: cors, body: String(decoding: body, as: UTF8.self))
    }

    /// Healthy ones first; among them those of the home region, then of this one.
    private func edges(home: RegionID?) -> [RouteReport.Edge] {
        let peers = cell.peers
        let nodes = cell.context.clientURLs.keys.sorted()
        let ranked = nodes.map { node -> (rank: Int, edge: RouteReport.Edge) in
            let figures = peers[node]
            let healthy = node == cell.context.node ? cell.isOpen : figures.map { $0.ready && !$0.draining } ?? false
            let rank = (healthy ? 0 : 4) + (node.region == home ? 0 : node.region == cell.context.region ? 1 : 2)
            let edge = RouteReport.Edge(
                region: node.region.name, url: cell.context.clientURLs[node] ?? "", healthy: healthy,
                load: Double(figures?.sessions ?? 0) / Double(max(1, cell.context.limits.connectionsMax)))
            return (rank, edge)
        }
        return ranked.sorted { ($0.rank, $0.edge.load, $0.edge.url) < ($1.rank, $1.edge.load, $1.edge.url) }.map(\.edge)
    }

    private func problem(_ status: Int, _ text: String) -> HTTPAnswer {
        let body = (try? JSONEncoder.sorted.encode(["error": text])) ?? Data()
        return HTTPAnswer(status: status, headers: cors, body: String(decoding: body, as: UTF8.self))
    }
}

extension JSONEncoder {
    static var sorted: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
