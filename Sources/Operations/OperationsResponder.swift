import Hummingbird
import MeshCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Answers one request by asking the inspector.
struct OperationsResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let inspector: any RelayInspector

    func respond(to request: Request, context: Context) async throws -> Response {
        let route = OperationsRoute(method: request.method.rawValue, path: request.uri.path)
        let response = await answer(route)
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(_ route: OperationsRoute) async -> Response {
        switch route {
        case .health: return json(.ok, ["status": "ok"])
        case .readiness:
            let readiness = await inspector.readiness()
            return json(readiness.ready ? .ok : .serviceUnavailable, readiness)
        case .regions: return json(.ok, await inspector.regions())
        case .nodes: return json(.ok, await inspector.nodes())
        case .room(let room): return json(.ok, await inspector.room(room))
        case .metrics: return text(PrometheusText.render(await inspector.metrics()), PrometheusText.contentType)
        case .notFound: return json(.notFound, ErrorReport(error: "no such path"))
        case .badRequest(let reason): return json(.badRequest, ErrorReport(error: reason))
        case .deleteRoom(let room): return deletion(await inspector.deleteRoom(room))
        case .deleteUser(let user): return deletion(await inspector.deleteUser(user))
        case .exportUser(let user): return export(await inspector.export(user))
        case .methodNotAllowed(let allowed):
            var response = json(.methodNotAllowed, ErrorReport(error: "only \(allowed.joined(separator: ", ")) may be used here"))
            response.headers[.allow] = allowed.joined(separator: ", ")
            return response
        }
    }

    private func deletion(_ report: DeletionReport) -> Response {
        json(report.deleted ? .ok : .serviceUnavailable, report)
    }

    /// Lines, made as fast as they are taken.
    private func export(_ pages: Result<AsyncStream<ByteBuffer>, ExportFault>) -> Response {
        switch pages {
        case .success(let pages):
            Response(
                status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"],
                body: ResponseBody(asyncSequence: pages))
        case .failure(let fault): json(.serviceUnavailable, ErrorReport(error: fault.reason))
        }
    }

    private func json(_ status: HTTPResponse.Status, _ report: some Encodable) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return response(status, ByteBuffer(bytes: try encoder.encode(report)), "application/json")
        } catch {
            // A number that JSON does not have, such as a NaN.
            return response(
                .internalServerError, ByteBuffer(string: #"{"error":"the report cannot be written as JSON"}"#), "application/json")
        }
    }

    private func text(_ text: String, _ contentType: String) -> Response {
        response(.ok, ByteBuffer(string: text), contentType)
    }

    private func response(_ status: HTTPResponse.Status, _ body: ByteBuffer, _ contentType: String) -> Response {
        Response(status: status, headers: [.contentType: contentType, .cacheControl: "no-store"], body: ResponseBody(byteBuffer: body))
    }
}
