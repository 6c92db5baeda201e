import Foundation
import HeliographClient
import Logging
import MeshCore
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Operations

@Suite("Operations listener", .timeLimit(.minutes(1)))
struct OperationsListenerTests {
    private func serve(
        limits: OperationsListener.Limits = .init(), _ body: (RunningOperations, FakeInspector, String) async throws -> Void
    ) async throws {
        let inspector = FakeInspector()
        let listener = OperationsListener(
            host: "127.0.0.1", port: 0, inspector: inspector, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            limits: limits)
        let running = try await listener.start()
        do {
            try await body(running, inspector, "http://127.0.0.1:\(running.port)")
        } catch {
            await running.stop()
            throw error
        }
        await running.stop()
    }

    private func read<Report: Decodable>(_ type: Report.Type, _ body: ByteBuffer) throws -> Report {
        try JSONDecoder().decode(type, from: Data(body.readableBytesView))
    }

    @Test("health and readiness: 200, then 503 with the reason, and 200 again")
    func readiness() async throws {
        try await serve { _, inspector, url in
            #expect(try await HTTPGet.fetch(url + "/healthz").status == 200)
            #expect(try await HTTPGet.fetch(url + "/readyz").status == 200)
            inspector.setReady(false)
            let (status, headers, body) = try await HTTPGet.fetch(url + "/readyz")
            #expect(status == 503)
            #expect(headers["content-type"] == ["application/json"])
            #expect(headers["cache-control"] == ["no-store"])
            #expect(String(buffer: body) == #"{"checks":[{"detail":"connection refused","name":"redis","ok":false}],"ready":false}"#)
            #expect(try await HTTPGet.fetch(url + "/healthz").status == 200, "a process that is not ready still lives")
        }
    }

    @Test("regions as the contract names them, with keys for what is not known")
    func regions() async throws {
        try await serve { _, inspector, url in
            let (status, _, body) = try await HTTPGet.fetch(url + "/v1/regions")
            #expect(status == 200)
            #expect(try read(RegionsReport.self, body) == (await inspector.regions()))
            let text = String(buffer: body)
            #expect(text.contains(#""self":"eu-west""#))
            #expect(text.contains(#""view":{"active":["eu-west","us-east"],"epoch":1}"#))
            #expect(
                text.contains(
                    #"{"lastSeenMs":null,"nodes":0,"region":"ap-south","rttMs":null,"sessions":0,"shardsHomed":0,"state":"DOWN"}"#))
        }
    }

    @Test("nodes and metrics")
    func nodesAndMetrics() async throws {
        try await serve { _, inspector, url in
            let nodes = try await HTTPGet.fetch(url + "/v1/nodes")
            #expect(try read(NodesReport.self, nodes.body) == (await inspector.nodes()))
            let metrics = try await HTTPGet.fetch(url + "/metrics")
            #expect(metrics.headers["content-type"].first?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(String(buffer: metrics.body).contains("heliograph_sessions 3\n"))
        }
    }

    @Test(
        "a room is found under every spelling of its name",
        arguments: [
            ("lobby", "lobby"), ("eu/lobby", "eu/lobby"), ("eu%2Flobby", "eu/lobby"), ("%40alice", "@alice"), ("@alice", "@alice"),
            ("caf%C3%A9", "café"), ("%7Btag%7Droom", "{tag}room"),
        ])
    func rooms(_ spelling: String, _ name: String) async throws {
        try await serve { _, inspector, url in
            let (status, _, body) = try await HTTPGet.fetch(url + "/v1/rooms/" + spelling)
            #expect(status == 200)
            #expect(try read(RoomReport.self, body) == (await inspector.room(name)))
            #expect(String(buffer: body).contains(#""members":null"#))
        }
    }

    @Test(
        "what is not there, or not well-formed, is said in JSON",
        arguments: [
            ("/nowhere", 404, "no such path"), ("/v1/rooms", 404, "no such path"), ("/v1/rooms/", 404, "no such path"),
            ("/v1/rooms/%4", 400, "the room is not percent-encoded UTF-8"), ("/v1/rooms/%FF", 400, "the room is not percent-encoded UTF-8"),
            ("/v1/rooms/a%20b", 400, "an id must not contain white space or control characters"),
            ("/v1/rooms/$x", 400, "ids that begin with $ are reserved, and a user id must not begin with @"),
        ])
    func errors(_ path: String, _ expected: Int, _ reason: String) async throws {
        try await serve { _, _, url in
            let (status, _, body) = try await HTTPGet.fetch(url + path)
            #expect(status == expected)
            #expect(try read(ErrorReport.self, body) == ErrorReport(error: reason))
        }
    }

    @Test("deletion: 200 when it is whole, 503 with what is missing")
    func deletion() async throws {
        try await serve { running, _, _ in
            let whole = try await ask("DELETE", "/v1/rooms/eu%2Flobby", of: running)
            #expect(whole.hasPrefix("HTTP/1.1 200 "))
            #expect(whole.hasSuffix(#"{"deleted":true,"missing":[],"regions":["eu-west","us-east"],"room":"eu/lobby"}"#))
            let partial = try await ask("DELETE", "/v1/users/caf%C3%A9", of: running)
            #expect(partial.hasPrefix("HTTP/1.1 503 "))
            #expect(
                partial.hasSuffix(
                    #"{"deleted":false,"missing":[{"reason":"no way","region":"us-east"}],"regions":["eu-west"],"user":"café"}"#))
        }
    }

    @Test("an export is lines, or 503 if it cannot begin")
    func export() async throws {
        try await serve { _, _, url in
            let (status, headers, body) = try await HTTPGet.fetch(url + "/v1/users/alice/export")
            #expect(status == 200 && headers["content-type"] == ["application/x-ndjson"])
            let lines = String(buffer: body).split(separator: "\n")
            #expect(lines == (1...FakeInspector.exportPages).map { "{\"page\":\($0)}" })
            let lost = try await HTTPGet.fetch(url + "/v1/users/lost/export")
            #expect(lost.status == 503 && String(buffer: lost.body) == #"{"error":"no way to her home"}"#)
        }
    }

    @Test(
        "every path with every method",
        arguments: [
            ("DELETE", "/v1/rooms/lobby", OperationsRoute.deleteRoom("lobby")), ("GET", "/v1/rooms/lobby", .room("lobby")),
            ("PUT", "/v1/rooms/lobby", .methodNotAllowed(["GET", "HEAD", "DELETE"])), ("DELETE", "/v1/users/alice", .deleteUser("alice")),
            ("GET", "/v1/users/alice", .methodNotAllowed(["DELETE"])), ("HEAD", "/v1/users/a%2Fb/export", .exportUser("a/b")),
            ("DELETE", "/v1/users/alice/export", .methodNotAllowed(["GET", "HEAD"])),
            ("DELETE", "/v1/users/alice%2Fexport", .deleteUser("alice/export")),
            ("GET", "/v1/users/a/b/export", .exportUser("a/b")), ("DELETE", "/metrics", .methodNotAllowed(["GET", "HEAD"])),
            ("DELETE", "/v1/users/", .notFound), ("DELETE", "/nowhere", .notFound), ("PATCH", "/nowhere", .notFound),
            ("GET", "/v1/users//export", .badRequest("an id must not be empty")),
            ("DELETE", "/v1/users/@alice", .badRequest("ids that begin with $ are reserved, and a user id must not begin with @")),
            ("DELETE", "/v1/users/%", .badRequest("the user is not percent-encoded UTF-8")),
        ])
    func routes(_ method: String, _ path: String, _ route: OperationsRoute) {
        #expect(OperationsRoute(method: method, path: path) == route)
    }

    private func ask(_ method: String, _ path: String, of running: RunningOperations) async throws -> String {
        try await raw("\(method) \(path) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", to: running.port)
    }

    @Test("another method is 405 with Allow; on an unknown path it is 404")
    func methods() async throws {
        try await serve { running, _, _ in
            let post = try await raw(
                "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", to: running.port)
            #expect(post.hasPrefix("HTTP/1.1 405 "))
            #expect(post.lowercased().contains("allow: get, head"))
            let unknown = try await raw(
                "PUT /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", to: running.port)
            #expect(unknown.hasPrefix("HTTP/1.1 404 "))
            let head = try await raw("HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", to: running.port)
            #expect(head.hasPrefix("HTTP/1.1 200 "))
            #expect(head.hasSuffix("\r\n\r\n"), "no body")
        }
    }

    @Test("garbage and endless headers are answered with 400, also while others hold half a request open")
    func hostile() async throws {
        var limits = OperationsListener.Limits()
        limits.headerBytesMax = 1024
        try await serve(limits: limits) { running, _, url async throws -> Void in
            async let half = raw("GET /healthz HTTP/1.1\r\nhos", to: running.port)
            #expect(try await raw("\u{1}\u{2}\u{3}\r\n\r\n", to: running.port).hasPrefix("HTTP/1.1 400"))
            let long = String(repeating: "x", count: 4096)
            #expect(try await raw("GET / HTTP/1.1\r\nlong: \(long)\r\n\r\n", to: running.port).hasPrefix("HTTP/1.1 400"))
            #expect(try await HTTPGet.fetch(url + "/healthz").status == 200)
            await running.stop()
            #expect(try await half.isEmpty, "a stop closes it")
        }
    }

    @Test("half a request is closed after the idle time")
    func idle() async throws {
        var limits = OperationsListener.Limits()
        limits.idle = .milliseconds(100)
        try await serve(limits: limits) { running, _, _ async throws -> Void in
            #expect(try await raw("GET /healthz HTTP/1.1\r\nhos", to: running.port).isEmpty)
        }
    }

    @Test("a port that is taken is a clear error, and a stopped listener gives its port back")
    func portTaken() async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        try await serve { running, _, _ in
            let second = OperationsListener(host: "127.0.0.1", port: running.port, inspector: FakeInspector(), logger: logger)
            let error = await #expect(throws: OperationsError.self) { _ = try await second.start() }
            #expect(error?.description.contains("cannot listen on 127.0.0.1:\(running.port)") == true)
            await running.stop()
            let third = try await second.start()
            #expect(third.port == running.port)
            await third.stop()
        }
    }
}

/// All that a server sends back to these bytes until it closes.
func raw(_ request: String, to port: Int) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
        }
    return try await channel.executeThenClose { inbound, outbound in
        // It may have closed before it was asked; then the kernel answers with a reset, which is an end as well.
        try? await outbound.write(ByteBuffer(string: request))
        var answer = ""
        do {
            for try await part in inbound { answer += String(buffer: part) }
        } catch let error as IOError where error.errnoCode == ECONNRESET {}
        return answer
    }
}
