import HTTP2
import MeshCore
import NIOCore
import Testing
import Wire

@testable import Transport

@Suite("Which door a request opens")
struct ClientDoorTests {
    /// A door in words.
    private func words(_ request: HTTP2Headers, compresses: Bool = true) -> String {
        switch ClientDoor(request, compresses: compresses) {
        case .session(let door, let format, let headers, let deadline):
            let extras = headers.fields.dropFirst().filter { $0.name.hasPrefix("sec-") }.map(\.value)
            return "\(door.rawValue) \(words(format)) \(headers[":status"] ?? "?")"
                + extras.map { " " + $0 }.joined() + (deadline.map { " within \($0)" } ?? "")
        case .question(let question): return "question \(question.method) \(question.path) \(words(question.query))"
        case .refused(let answer): return "\(answer.status)"
        case .refusedCall(let status, let text): return "\(status) \(text)"
        }
    }

    private func words(_ query: [String: String]) -> String {
        query.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: "&")
    }

    private func words(_ format: FrameFormat) -> String {
        switch format.framing {
        case .stream: "\(format.encoding)"
        case .webSocket(let bits): "\(format.encoding) window \(bits.map(String.init) ?? "none")"
        }
    }

    private static func request(_ method: String, _ path: String, _ more: [(String, String)] = []) -> HTTP2Headers {
        var headers: HTTP2Headers = [":method": method, ":scheme": "http", ":authority": "relay", ":path": path]
        for (name, value) in more { headers.add(name, value) }
        return headers
    }

    private func check(_ method: String, _ path: String, _ more: [(String, String)] = [], is expected: String, compresses: Bool = true) {
        #expect(words(Self.request(method, path, more), compresses: compresses) == expected, "\(method) \(path) \(more)")
    }

    @Test("questions") func questions() {
        check("GET", "/v1/ping", is: "question GET /v1/ping ")
        check("GET", "/v1/route?room=a%20b&room=c&x", is: "question GET /v1/route room=a b&x=")
        check("DELETE", "/", is: "question DELETE / ")
        check("GET", "/v1/%70ing", is: "question GET /v1/ping ")
        #expect(words(HTTP2Headers()) == "question  / ", "nghttp2 lets no such request through, and a value need not crash")
    }

    @Test("ndjson") func lines() {
        let lines = ("content-type", "application/x-ndjson")
        check("POST", "/v1/stream", [lines], is: "ndjson json 200")
        check("POST", "/v1/stream", [("content-type", "Application/X-NDJSON; charset=utf-8")], is: "ndjson json 200")
        check("POST", "/v1/stream", [lines, ("content-encoding", "identity")], is: "ndjson json 200")
        check("POST", "/v1/stream", [lines, ("content-encoding", "gzip")], is: "415")
        check("POST", "/v1/stream", [("content-type", "application/json")], is: "415")
        check("POST", "/v1/stream", [("content-type", "")], is: "415")
        check("POST", "/v1/stream", [], is: "415")
        check("GET", "/v1/stream", [lines], is: "405")
        check("PUT", "/v1/stream", [lines], is: "405")
    }

    @Test("gRPC") func calls() {
        let path = ClientDoor.callPath
        for type in ["application/grpc", "application/grpc+proto", "application/grpc;x=y", "APPLICATION/GRPC"] {
            check("POST", path, [("content-type", type)], is: "grpc grpc 200")
        }
        let grpc = ("content-type", "application/grpc")
        check("POST", path, [grpc, ("grpc-timeout", "1500m")], is: "grpc grpc 200 within 1500 ms")
        check("POST", path, [grpc, ("grpc-timeout", "soon")], is: "internal grpc-timeout cannot be read: soon")
        check("POST", path, [grpc, ("grpc-encoding", "identity")], is: "grpc grpc 200")
        check("POST", path, [grpc, ("grpc-encoding", "gzip")], is: "unimplemented grpc-encoding gzip is not supported; identity is")
        check("POST", "/heliograph.v1.Relay/Fly", [grpc], is: "unimplemented no such method: /heliograph.v1.Relay/Fly")
        check("POST", "/v1/stream", [grpc], is: "unimplemented no such method: /v1/stream")
        check("GET", path, [grpc], is: "405")
        check("POST", path, [("content-type", "application/grpc+json")], is: "415")
        check("POST", path, [("content-type", "application/grpc-web")], is: "415")
        check("POST", path, [], is: "415")
    }

    @Test("WebSockets over HTTP/2") func webSockets() {
        let socket = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        func offer(_ names: String) -> [(String, String)] { socket + [("sec-websocket-protocol", names)] }
        check("CONNECT", "/v1/ws", socket, is: "websocket_h2 json window none 200")
        check("CONNECT", "/v1/ws?x=y", socket, is: "websocket_h2 json window none 200")
        check("CONNECT", "/v1/ws", offer("heliograph.v1.proto"), is: "websocket_h2 protobuf window none 200 heliograph.v1.proto")
        check("CONNECT", "/v1/ws", offer("chat, heliograph.v1.json"), is: "websocket_h2 json window none 200 heliograph.v1.json")
        check("CONNECT", "/v1/ws", offer("chat"), is: "400")
        check("CONNECT", "/v1/ws", [(":protocol", "websocket")], is: "400")
        check("CONNECT", "/v1/ws", [(":protocol", "websocket"), ("sec-websocket-version", "8")], is: "400")
        check("CONNECT", "/v1/other", socket, is: "404")
        check("CONNECT", "/v1/ws", [(":protocol", "connect-udp"), ("sec-websocket-version", "13")], is: "501")
        check("CONNECT", "/v1/ws", [], is: "501")
        check("GET", "/v1/ws", socket.dropFirst() + [], is: "400")
        let deflate = socket + [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")]
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        check("CONNECT", "/v1/ws", deflate, is: "websocket_h2 json window 15 200 \(agreed)")
        check("CONNECT", "/v1/ws", deflate, is: "websocket_h2 json window none 200", compresses: false)
    }
}
