import HeliographClient
import SwiftProtobuf
import Testing
import Wire

@Suite struct PushDeviceTests {
    @Test("a device is registered and forgotten, and a refusal is thrown") func device() async throws {
        let seen = Seen<String>()
        let relay = try await FakeRelay.start(.webSocket()) { frame, peer in
            if welcome(frame, peer) { return }
            switch frame.frame {
            case .registerPush(let ask) where ask.token == "wrong":
                peer.reply(frame.id) { $0.error = .with { $0.code = .invalidArgument } }
            case .registerPush(let ask):
                seen.add("\(ask.service) \(ask.token)")
                peer.reply(frame.id) { $0.done = .init() }
            case .unregisterPush:
                seen.add("none")
                peer.reply(frame.id) { $0.done = .init() }
            default: peer.drop()
            }
        }
        let client = try await HeliographClient.connect(url: relay.url, token: "alice", options: quickOptions)
        try await client.registerPush(service: .fcm, token: "dK3:APA91b")
        try await client.registerPush(service: .apns, token: "00ff")
        try await client.unregisterPush()
        #expect(seen.all == ["fcm dK3:APA91b", "apns 00ff", "none"])
        await #expect(throws: HeliographClientError.self) { try await client.registerPush(service: .apns, token: "wrong") }
        await client.close()
        await relay.stop()
    }
}
