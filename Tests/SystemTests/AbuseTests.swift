import Foundation
import LocalMesh
import MeshCore
import Testing
import Wire

/// Small limits and short waits, so that going past them costs little.
@Suite(
    "Doors that are abused", .serialized,
    .mesh(
        yaml: """
            limits:
              maxServerFrameBytes: 128KiB
              outboxBytesMax: 256KiB
              connectionsPerAddressMax: 40
              publishesPerSecondMax: 200
            timings:
              handshakeTimeout: 1s
              helloTimeout: 5s
              connectionIdle: 1s
              writeTimeout: 2s
              outboxStall: 2s
            """), .timeLimit(.minutes(3))) enum StrictDoors
{}

/// One script run, what must be counted because of it, and how often at least.
struct Abuse: Sendable, CustomTestStringConvertible {
    var script: String
    var name: String
    var drop: String?
    var count = 1

    var testDescription: String { name }

    private static func each(_ script: String, _ drop: String?, _ names: String...) -> [Abuse] {
        names.map { Abuse(script: script, name: $0, drop: drop) }
    }

    private static let frames = [
        each(
            "http2_abuse.py", "http2_flood", "rapid_reset", "made_to_reset", "ping_flood", "settings_flood", "priority_flood",
            "empty_data_flood", "window_update_flood"),
        each("http2_abuse.py", "headers_too_large", "continuation_flood", "hpack_bomb", "many_headers", "long_header"),
        each(
            "http2_abuse.py", "protocol_error", "broken_hpack", "zero_window_update", "window_overflow", "data_after_end", "data_on_idle",
            "even_stream", "frame_above_its_size", "interrupted_headers", "too_many_streams", "request_without_a_path", "connection_header"),
    ]

    private static let streams = [
        each("door_abuse.py", "frame_too_large", "grpc_message_that_promises_too_much", "line_above_the_limit", "line_that_never_ends"),
        each("door_abuse.py", "malformed_frame", "grpc_message_that_is_no_protobuf", "line_that_is_no_json", "line_that_is_cut_off"),
        each("door_abuse.py", "protocol_error", "grpc_message_with_the_compressed_flag"),
        each("door_abuse.py", "bad_handshake", "grpc_encoding", "grpc_timeout_that_is_none", "grpc_other_format"),
        [Abuse(script: "door_abuse.py", name: "wrong_requests", drop: "bad_handshake", count: 8)],
        each("door_abuse.py", "call_deadline", "grpc_deadline"),
        each(
            "door_abuse.py", nil, "grpc_timeout_of_ages", "connection_without_streams", "websocket_without_a_close",
            "trailers_of_an_answered_request", "paths_of_all_kinds", "answers_that_are_read_slowly", "answers_that_are_not_read"),
        each("door_abuse.py", "unauthenticated", "before_hello"),
        each("door_abuse.py", "slow_consumer", "stream_that_is_not_read", "connection_that_is_not_read"),
    ]

    private static let sockets = [
        each("socket_abuse.py", "handshake_timeout", "half_a_preface", "preface_alone"),
        each("socket_abuse.py", "bad_handshake", "endless_header", "endless_headers", "endless_body", "no_http", "stream_over_http1"),
        each("socket_abuse.py", "bad_handshake", "tls_to_a_port_without"),
        [Abuse(script: "socket_abuse.py", name: "connections_of_an_address", drop: "address_limit", count: 20)],
        each("socket_abuse.py", "frame_too_large", "deflate_bomb"),
    ]

    static let all = (frames + streams + sockets).flatMap { $0 }
}

extension StrictDoors {
    /// Each gets its answer, is counted under its reason, costs a bounded amount of memory, and disturbs nobody.
    @Suite(.serialized) struct AbuseTests {
        let mesh: MeshUnderTest
        let node: LocalMesh.Node

        /// What a relay may have grown by after any of them; a debug build with its caches warm.
        private static let growthBytesMax = 24 << 20

        init() async throws {
            mesh = try .current
            node = try await mesh.node("eu-west")
        }

        @Test("abuse", arguments: Abuse.all) func abuse(_ abuse: Abuse) async throws {
            let bystander = try await TestClient.connect(node, as: MeshUnderTest.unique("bystander"))
            let room = MeshUnderTest.unique("eu-west/quiet")
            try await bystander.subscribe(room)
            let before = try await Metrics.scrape(node.operationsURL)
            let bytes = try node.residentBytes()
            try await mesh.expectPasses(abuse.script, abuse.name)
            if let drop = abuse.drop {
                try await eventually("\(drop) is counted \(abuse.count) times") {
                    try await Metrics.scrape(node.operationsURL).drops(drop) >= before.drops(drop) + Double(abuse.count)
                }
            }
            #expect(try node.residentBytes() < bytes + Self.growthBytesMax)
            let published = try await bystander.publish(room, "still here")
            _ = try await bystander.messages(room, until: published.key)
            await bystander.close()
            try await eventually("no session is left behind") {
                try await Metrics.scrape(node.operationsURL)["heliograph_sessions"] == 0
            }
        }
    }
}
