import Foundation
import JWTKit
import Logging
import MeshCore
import NIOCore
import NIOPosix
import Push
import PushServers
import Synchronization
import TLS
import Testing

/// A wall clock that a test turns.
final class TestClock: Sendable {
    private let time = Mutex<WallMilliseconds>(1_795_336_284_000)
    var now: WallMilliseconds { time.withLock { $0 } }
    func advance(by span: TimeSpan) { time.withLock { $0 += WallMilliseconds(span.milliseconds) } }
    var read: @Sendable () -> WallMilliseconds { { self.now } }
}

/// An authority of the test's own, with a server's certificate for loopback.
final class TestCertificates {
    private let folder = NSTemporaryDirectory() + "heliograph-push-\(UUID().uuidString)"
    let trustFile: String

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        trustFile = folder + "/ca.pem"
        let authority = try TLSAuthority.make(name: "test authority", validity: .days(1))
        try authority.write(to: TLSCertificateFiles(chain: trustFile, key: folder + "/ca.key"))
        let request = TLSCertificateRequest(
            name: "push.test", dns: ["localhost"], addresses: ["127.0.0.1"], uris: [], usage: .server, validity: .days(1))
        try authority.issue(request).write(to: server)
    }

    private var server: TLSCertificateFiles { TLSCertificateFiles(chain: folder + "/push.pem", key: folder + "/push.key") }

    func serving(_ alpn: String) throws -> TLSCredentials {
        try TLSCredentials(.server(TLSServerSettings(certificates: [server], alpn: [alpn])), logger: Logger(label: "test"))
    }

    func trusting(_ alpn: String) throws -> TLSCredentials {
        try TLSCredentials(.client(TLSClientSettings(trustFile: trustFile, alpn: [alpn])), logger: Logger(label: "test"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}

extension PushServer {
    func place(_ path: String = "", tls: TLSCredentials? = nil, deadline: TimeSpan = .seconds(60)) throws -> HTTPPlace {
        HTTPPlace(
            address: try #require(WebAddress(url + path)), tls: tls, deadline: deadline, loop: MultiThreadedEventLoopGroup.singleton.next())
    }
}

extension PushNotification {
    static func test(_ seq: UInt64, user: String = "alice", text: String? = "good morning", reason: Reason = .message) -> PushNotification {
        PushNotification(
            user: user, room: "@\(user)", position: Position(epoch: 1, seq: seq), from: "bob", contentType: "text/plain", text: text,
            dataBytes: text == nil ? 17 : nil, at: 1_795_336_284_000 + Int64(seq), reason: reason, count: 1)
    }
}

/// The claims of any token.
struct AnyClaims: JWTPayload {
    var iss: String?
    var iat: Int64?
    var exp: Int64?
    var scope: String?
    var aud: String?
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}
