import Foundation
import JWTKit
import LocalMesh
import MeshCore
import PushServers
import SwiftProtobuf
import TLS
import Testing
import Wire

/// A mesh that tells two receivers in the test's own process of messages for users without a session.
struct PushMeshTrait: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let receivers = try await PushReceivers()
        try await MeshUnderTest.with(MeshSettings(nodes: 2, yaml: receivers.yaml)) {
            try await PushReceivers.$current.withValue(receivers, operation: function)
        }
        await receivers.end()
    }
}

/// The receivers, and how the mesh is told of them.
final class PushReceivers: Sendable {
    @TaskLocal static var current: PushReceivers?

    struct Notification: Decodable, Hashable, Sendable {
        struct Place: Decodable, Hashable, Sendable { var epoch, seq: UInt64 }
        var id, user, room, from, reason: String
        var text: String?
        var position: Place
        var count: UInt64
    }

    private struct Document: Decodable { var region: String, notifications: [Notification] }

    let hook: PushServer
    let apns: PushServer
    let key = ES256PrivateKey()
    static let secret = "0123456789abcdef0123456789abcdef"
    private let folder = NSTemporaryDirectory() + "heliograph-push-\(UUID().uuidString)"

    init() async throws {
        hook = try await PushServer(.http1)
        apns = try await PushServer(.http2)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.secret.write(toFile: folder + "/hook.secret", atomically: true, encoding: .utf8)
        try key.pemRepresentation.write(toFile: folder + "/apns.p8", atomically: true, encoding: .utf8)
    }

    var yaml: String {
        """
        push:
          webhook:
            url: \(hook.url)/hook
            secretFile: \(folder)/hook.secret
          apns:
            host: \(apns.url)
            keyFile: \(folder)/apns.p8
            keyId: ABC123DEFG
            teamId: TEAM567890
            topic: com.example.chat
          retryLeast: 100ms
          retryMost: 1s
          deadline: 4s
          lease: 13s
        """
    }

    func end() async {
        await hook.stop()
        await apns.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// What the hook was sent about a user, repeats included.
    func told(_ user: String) throws -> [Notification] {
        try hook.received.flatMap { try JSONDecoder().decode(Document.self, from: Data($0.body.utf8)).notifications }
            .filter { $0.user == user }
    }
}

@Suite("Push", .serialized, PushMeshTrait(), .timeLimit(.minutes(4))) struct PushSystemTests {
    let mesh: MeshUnderTest
    let receivers: PushReceivers
    let bob: TestClient
    var hook: PushServer { receivers.hook }

    init() async throws {
        mesh = try .current
        receivers = try #require(PushReceivers.current)
        try await mesh.heal()
        receivers.hook.answer(.status(200))
        receivers.apns.answer(.status(200))
        bob = try await TestClient.connect(mesh.node("eu-west"), as: MeshUnderTest.unique("bob"))
    }

    private func user() async throws -> String { try await mesh.user("alice", homedIn: "us-east") }

    private func send(_ text: String, to user: String) async throws {
        try await bob.publishUntilTaken("@\(user)", text, key: MeshUnderTest.unique("k"))
    }

    private func told(
        _ user: String, _ texts: [String], within limit: Duration = .seconds(15), sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await eventually("\(user) is told of \(texts)", within: limit, sourceLocation: sourceLocation) {
            try receivers.told(user).compactMap(\.text).sorted() == texts.sorted()
        }
    }

    /// When this is told, everything that was queued before it has been told.
    private func expectOnly(_ texts: [String], of user: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let marker = try await self.user()
        try await send("marker", to: marker)
        try await told(marker, ["marker"], sourceLocation: sourceLocation)
        #expect(try receivers.told(user).compactMap(\.text).sorted() == texts.sorted(), sourceLocation: sourceLocation)
    }

    /// A session of which the root of the user's room knows.
    private func connect(_ user: String, status: RelayStatus = .online) async throws -> TestClient {
        let client = try await TestClient.connect(mesh.node("ap-south"), as: user, device: "phone", status: status)
        try await client.subscribe("@\(user)")
        return client
    }

    @Test("a message from another region to a user who is away: told once, signed") func away() async throws {
        let alice = try await user()
        try await send("first", to: alice)
        try await told(alice, ["first"])
        let request = try #require(hook.received.first { $0.body.contains("\"user\":\"\(alice)\"") })
        #expect(request.path == "/hook" && request.headers["content-type"] == "application/json")
        let timestamp = try #require(request.headers["heliograph-timestamp"])
        let code = MessageAuthentication.hmacSHA256(
            Array("\(timestamp).\(request.body)".utf8), key: Array(PushReceivers.secret.utf8))
        let hex = code.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(request.headers["heliograph-signature"] == "v1=" + hex)
        let notification = try #require(try receivers.told(alice).first)
        #expect(notification.reason == "message" && notification.room == "@\(alice)" && notification.from == bob.user)
        #expect(notification.position.seq == 1 && notification.count == 1)
        try await send("second", to: alice)
        try await told(alice, ["first", "second"])
        try await expectOnly(["first", "second"], of: alice)
        await bob.close()
    }

    @Test("a receiver that is down is told when it is back, and each message once") func receiverDown() async throws {
        let alice = try await user()
        let before = try await retries()
        await hook.stop()
        for text in ["a", "b", "c"] { try await send(text, to: alice) }
        try await eventually("tries that failed", within: .seconds(20)) { try await retries() > before }
        #expect(try receivers.told(alice).isEmpty)
        try await hook.start()
        try await told(alice, ["a", "b", "c"])
        try await expectOnly(["a", "b", "c"], of: alice)
        await bob.close()
    }

    private func retries() async throws -> Double {
        var sum = 0.0
        for index in 0..<2 {
            let metrics = try await Metrics.scrape(mesh.node("us-east", index).operationsURL)
            sum += metrics["heliograph_push_total{service=\"webhook\",outcome=\"retry\"}"]
        }
        return sum
    }

    @Test("kill -9 of the node that is sending: another one sends it") func senderDies() async throws {
        let alice = try await user()
        hook.answer(.hang)
        try await send("survives", to: alice)
        let request = try await eventually("the first try", within: .seconds(15)) {
            hook.received.last { $0.body.contains("\"user\":\"\(alice)\"") }
        }
        let name = try #require(request.headers["heliograph-node"])
        let node = try #require(try await mesh.region("us-east").nodes.first { $0.node.name == name })
        try await mesh.local.kill(node.node, SIGKILL)
        _ = try await mesh.local.waitForExit(of: node.node, timeout: .seconds(5))
        hook.answer(.status(200))
        try await eventually("the other node tells", within: .seconds(40)) {
            hook.received.contains { $0.body.contains("\"user\":\"\(alice)\"") && $0.headers["heliograph-node"] != name }
        }
        try await mesh.local.restart(node.node)
        await bob.close()
    }

    @Test("while she has a session nothing is told; when it ends, what she did not confirm, as one") func unconfirmed() async throws {
        let alice = try await user()
        let session = try await connect(alice)
        for text in ["a", "b", "c"] { try await send(text, to: alice) }
        try await expectOnly([], of: alice)
        await session.close()
        try await told(alice, ["c"])
        let notification = try #require(try receivers.told(alice).first)
        #expect(notification.reason == "unconfirmed" && notification.count == 3 && notification.position.seq == 3)
        await bob.close()
    }

    @Test("an invisible session is a session") func invisible() async throws {
        let alice = try await user()
        let session = try await connect(alice, status: .invisible)
        try await send("a", to: alice)
        try await expectOnly([], of: alice)
        await session.close()
        try await told(alice, ["a"])
        #expect(try receivers.told(alice).first?.reason == "unconfirmed")
        await bob.close()
    }

    @Test("a note that nobody has made good is made good by whoever finds it") func notes() async throws {
        let alice = try await user()
        let session = try await connect(alice)
        for text in ["a", "b"] { try await send(text, to: alice) }
        let redis = try #require(try await mesh.region("us-east").redis?.url)
        _ = try await Program.redis(redis, "HSET", "hg:pushes:{pushes}:after", alice, "0-0")
        _ = try await Program.redis(redis, "ZADD", "hg:pushes:{pushes}:marks", "1", alice)
        try await told(alice, ["a", "b"])
        try await eventually("the note is gone") { try await Program.redis(redis, "ZSCORE", "hg:pushes:{pushes}:marks", alice).isEmpty }
        await session.close()
        await bob.close()
    }

    @Test("a device that is registered is told through Apple's service until its token is gone") func apns() async throws {
        let alice = try await user()
        let token = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
        let session = try await connect(alice)
        let bad = try await session.error(of: .registerPush(.with { ($0.service, $0.token) = (.apns, "../../x") }))
        #expect(bad.code == .invalidArgument)
        let notHere = try await session.error(of: .registerPush(.with { ($0.service, $0.token) = (.fcm, "abc") }))
        #expect(notHere.code == .unimplemented)
        try await session.done(.registerPush(.with { ($0.service, $0.token) = (.apns, token) }))
        await session.close()
        try await send("to the phone", to: alice)
        let server = receivers.apns
        let request = try await eventually("Apple's service is told", within: .seconds(15)) {
            server.received.last { $0.body.contains("to the phone") }
        }
        #expect(request.path == "/3/device/\(token)" && request.headers["apns-topic"] == "com.example.chat")
        let bearer = try #require(request.headers["authorization"])
        let claims = try await JWTKeyCollection().add(ecdsa: receivers.key.publicKey, kid: "ABC123DEFG")
            .verify(String(bearer.dropFirst("bearer ".count)), as: TestProviderClaims.self)
        #expect(claims.iss == "TEAM567890")

        let redis = try #require(try await mesh.region("us-east").redis?.url)
        let key = "hg:push:{@\(alice)}:@\(alice)"
        #expect(try await Program.redis(redis, "HGET", key, "phone").contains(token))
        let exported = try await HTTP.get("\(mesh.node("us-east").operationsURL)/v1/users/\(alice)/export").body
        let line = try #require(exported.split(separator: "\n").first { $0.contains(#""kind":"pushDevice""#) })
        #expect(line.contains(#""device":"phone""#) && line.contains(#""service":"apns""#) && line.contains(#""updatedAt":1"#))
        #expect(!exported.contains(token), "what the service calls the device is nobody's business")
        server.answer(.status(410, body: #"{"reason":"Unregistered"}"#))
        try await send("to nobody", to: alice)
        try await eventually("the device is forgotten") { try await Program.redis(redis, "EXISTS", key) == "0" }
        await bob.close()
    }
}

private struct TestProviderClaims: JWTPayload {
    var iss: String
    var iat: Int64
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}
