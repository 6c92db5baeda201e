import NIOCore
import Testing

@testable import Wire

@Suite("Negotiation of permessage-deflate")
struct PermessageDeflateTests {
    private static let noTakeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    // RFC 7692, sections 5.1, 5.2, 7 and 7.1.3: the offers that it shows, and what stands around them.
    static let accepted: [([String], String, Int)] = [
        (["permessage-deflate"], noTakeover, 15),
        (["permessage-deflate; client_max_window_bits"], noTakeover, 15),
        (["permessage-deflate; client_max_window_bits=8"], noTakeover, 15),
        (["permessage-deflate; client_max_window_bits; server_max_window_bits=10"], noTakeover + "; server_max_window_bits=9", 9),
        (
            ["permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate; client_max_window_bits"],
            noTakeover + "; server_max_window_bits=9", 9
        ),
        (["permessage-deflate; server_max_window_bits=9"], noTakeover + "; server_max_window_bits=9", 9),
        (["permessage-deflate; server_max_window_bits=\"14\""], noTakeover + "; server_max_window_bits=9", 9),
        (["permessage-deflate; server_max_window_bits=15"], noTakeover + "; server_max_window_bits=15", 15),
        (["permessage-deflate; server_max_window_bits=\"1\\5\""], noTakeover + "; server_max_window_bits=15", 15),
        (["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], noTakeover, 15),
        (["permessage-deflate;server_no_context_takeover,permessage-deflate"], noTakeover, 15),
        (["permessage-deflate; server_max_window_bits=8, permessage-deflate"], noTakeover, 15),
        (["permessage-deflate; use_y, permessage-deflate; client_max_window_bits"], noTakeover, 15),
        (["x-webkit-deflate-frame, permessage-bzip2; level=9", "permessage-deflate"], noTakeover, 15),
        (["x; a=\"b\" ; c , ,\tpermessage-deflate ;\tclient_max_window_bits = 10 ,"], noTakeover, 15),
    ]

    @Test("offers that can be met", arguments: accepted) func accepts(offers: [String], response: String, windowBits: Int) throws {
        let agreed = try #require(PermessageDeflate.accept(offers: offers))
        #expect(agreed.responseHeader == response)
        #expect(agreed.serverWindowBits == windowBits)
        #expect(try PermessageDeflate.check(answer: [response]) == agreed)
    }

    @Test(
        "offers that are declined",
        arguments: [
            "", ",", "x-webkit-deflate-frame", "Permessage-Deflate", "permessage-deflate2",
            "permessage-deflate; unknown", "permessage-deflate; Server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=+10",
            "permessage-deflate; server_max_window_bits=ten", "permessage-deflate; server_max_window_bits=10.0",
            "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=09", "permessage-deflate; client_max_window_bits=99999999999999999999",
        ]
    ) func declines(offer: String) {
        #expect(WebSocketExtension.parse([offer]) != nil)
        #expect(PermessageDeflate.accept(offers: [offer]) == nil)
    }

    @Test(
        "fields that are no list of extensions",
        arguments: [
            ";", "permessage-deflate;", "permessage-deflate;;a", "permessage-deflate; a=", "permessage-deflate; =1", "permessage deflate",
            "permessage-deflate; a=\"", "permessage-deflate; a=\"\"", "permessage-deflate; a=\"b", "permessage-deflate; a=\"b c\"",
            "permessage-deflate; a=\"b\\", "permessage-deflate; a=\"b\"c", "permessage-deflate; a=\"\\\"\"", "permessage-deflate; a=b=c",
            "permessage-déflate", "permessage-deflate\r\n", "permessage-deflate; a=\"b\", (",
        ]
    ) func malformed(field: String) {
        #expect(WebSocketExtension.parse([field]) == nil)
        #expect(PermessageDeflate.accept(offers: ["permessage-deflate", field]) == nil)
        #expect(throws: PermessageDeflate.AnswerFault.malformed) { try PermessageDeflate.check(answer: [field]) }
    }

    @Test("the client's offer is met by the server's own rules") func ends() throws {
        let agreed = try #require(PermessageDeflate.accept(offers: [PermessageDeflate.offer]))
        #expect(agreed.serverWindowBits == 15)
        #expect(try PermessageDeflate.check(answer: [agreed.responseHeader]) == agreed)
        #expect(try PermessageDeflate.check(answer: []) == nil)
    }

    @Test("another server may grant a smaller window, and need not speak of the client's takeover") func otherServers() throws {
        let answer = "permessage-deflate; server_no_context_takeover; server_max_window_bits=8"
        #expect(try PermessageDeflate.check(answer: [answer])?.serverWindowBits == 8)
    }

    static let answers: [([String], PermessageDeflate.AnswerFault)] = [
        (["permessage-bzip2"], .notOffered), ([noTakeover, noTakeover], .notOffered), ([noTakeover + ", x"], .notOffered),
        (["permessage-deflate"], .invalidParameters), (["permessage-deflate; client_no_context_takeover"], .invalidParameters),
        ([noTakeover + "; client_max_window_bits=15"], .invalidParameters), ([noTakeover + "; client_max_window_bits"], .invalidParameters),
        ([noTakeover + "; server_max_window_bits=16"], .invalidParameters), ([noTakeover + "; server_max_window_bits"], .invalidParameters),
        ([noTakeover + "; server_no_context_takeover"], .invalidParameters), ([noTakeover + "; x=1"], .invalidParameters),
    ]

    @Test("answers that end the connection", arguments: answers) func refuses(fields: [String], fault: PermessageDeflate.AnswerFault) {
        #expect(throws: fault) { try PermessageDeflate.check(answer: fields) }
    }

    @Test("both heads of the handshake carry it") func handshake() throws {
        var buffer = ByteBuffer()
        WebSocketHandshake.appendRequest(
            host: "relay", path: "/v1/ws", key: "a", subprotocols: [], extensions: PermessageDeflate.offer, to: &buffer)
        let request = try #require(try HandshakeHead.take(from: &buffer, bytesMax: 1000))
        let agreed = try #require(PermessageDeflate.accept(offers: request.values("sec-websocket-extensions")))
        WebSocketHandshake.appendResponse(key: "a", subprotocol: nil, extensions: agreed.responseHeader, to: &buffer)
        let response = try #require(try HandshakeHead.take(from: &buffer, bytesMax: 1000))
        #expect(try PermessageDeflate.check(answer: response.values("sec-websocket-extensions")) == agreed)
    }
}
