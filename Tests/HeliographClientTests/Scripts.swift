import HeliographClient
import MeshCore
import SwiftProtobuf
import Wire

/// A hello's answer, so that scripts need not spell it out.
func welcome(_ frame: RelayClientFrame, _ peer: FakeRelay.Peer, heartbeatSeconds: UInt32 = 25) -> Bool {
    guard case .hello(let hello) = frame.frame else { return false }
    peer.reply(frame.id) {
        $0.welcome = .with {
            $0.user = hello.token
            $0.session = "s\(peer.number)"
            $0.heartbeatSeconds = heartbeatSeconds
            $0.maxFrameBytes = 65_536
        }
    }
    return true
}

func subscribed(_ frame: RelayClientFrame, _ peer: FakeRelay.Peer) -> Bool {
    guard case .subscribe(let subscribe) = frame.frame else { return false }
    peer.reply(frame.id) { $0.subscribed = .with { ($0.room, $0.memberCount) = (subscribe.room, 1) } }
    return true
}

func published(_ frame: RelayClientFrame, _ peer: FakeRelay.Peer) {
    peer.reply(frame.id) {
        $0.published = .with { ($0.room, $0.key, $0.durability) = (frame.publish.room, frame.publish.key, frame.publish.durability) }
    }
}

/// Every door, in every format that it has.
let everyTransport: [ClientTransport] = [
    .webSocket(.json), .webSocket(.protobuf), .webSocket(WebSocketFormat(.json, compresses: true)),
    .webSocketOverHTTP2(.json), .webSocketOverHTTP2(WebSocketFormat(.protobuf, compresses: true)), .ndjson, .grpc,
]

func quickOptions(_ transport: ClientTransport) -> ClientOptions {
    var options = quickOptions
    options.transport = transport
    return options
}

var quickOptions: ClientOptions {
    var options = ClientOptions()
    options.requestTimeout = .seconds(40)
    options.connectTimeout = .seconds(40)
    options.reconnect = .init()
    options.reconnect?.delayMin = .milliseconds(2)
    options.reconnect?.delayMax = .milliseconds(20)
    return options
}

/// Pushes up to the first one that `isLast` accepts.
func collect(_ client: HeliographClient, until isLast: (ClientPush) -> Bool) async throws -> [ClientPush] {
    var pushes: [ClientPush] = []
    for try await push in client.pushes {
        pushes.append(push)
        if isLast(push) { return pushes }
    }
    return pushes
}
