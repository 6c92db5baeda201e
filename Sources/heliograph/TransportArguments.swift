import ArgumentParser
import HeliographClient

/// Whom a command trusts over `https:` and `wss:`.
struct TLSArguments: ParsableArguments {
    @Option(name: .customLong("ca"), help: "Authorities to trust over https: and wss:, a file in PEM; by default those of the system.")
    var trustFile: String?

    @Flag(help: "Take a certificate that is for another host; who signed it still counts.")
    var insecure = false

    var options: ClientTLSOptions {
        var options = ClientTLSOptions(trustFile: trustFile)
        options.verifiesName = !insecure
        return options
    }
}

/// How a command reaches a relay.
struct TransportArguments: ParsableArguments {
    enum Name: String, ExpressibleByArgument, CaseIterable {
        case webSocket = "ws"
        case webSocketOverHTTP2 = "h2-ws"
        case ndjson
        case grpc
    }

    enum Encoding: String, ExpressibleByArgument, CaseIterable {
        case json
        case proto
    }

    @Option(help: "ws: WebSocket; h2-ws: the same over HTTP/2; ndjson: lines of JSON over HTTP/2; grpc: a gRPC call.")
    var transport = Name.webSocket

    @Option(help: "Of a WebSocket's messages; json by default.")
    var encoding: Encoding?

    @Flag(help: "Compress a WebSocket's messages if the relay agrees to it.")
    var compress = false

    func validate() throws {
        guard transport == .ndjson || transport == .grpc else { return }
        if encoding != nil { throw ValidationError("--encoding is for WebSockets: \(transport.rawValue) has its own") }
        if compress { throw ValidationError("--compress is for WebSockets") }
    }

    var clientTransport: ClientTransport {
        let format = WebSocketFormat(encoding == .proto ? .protobuf : .json, compresses: compress)
        return switch transport {
        case .webSocket: .webSocket(format)
        case .webSocketOverHTTP2: .webSocketOverHTTP2(format)
        case .ndjson: .ndjson
        case .grpc: .grpc
        }
    }
}
