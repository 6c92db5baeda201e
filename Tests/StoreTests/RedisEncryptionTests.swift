import Foundation
import Logging
import MeshCore
import NIOCore
import NIOPosix
import TLS
import Testing

@testable import Store

private let room = "eu/lobby"

/// A Redis that speaks TLS only, and asks for a certificate.
@Suite("Redis over TLS", .serialized) final class RedisEncryptionTests {
    private let folder = NSTemporaryDirectory() + "hg-store-tls-\(UUID().uuidString.prefix(8))"
    private let authority: TLSAuthority
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        authority = try TLSAuthority.make(name: "test", validity: .days(1))
        try authority.write(to: files("ca"))
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)
        group.shutdownGracefully { _ in }
    }

    private func files(_ name: String) -> TLSCertificateFiles {
        TLSCertificateFiles(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
    }

    private func issue(_ name: String, from authority: TLSAuthority? = nil) throws -> TLSCertificateFiles {
        let request = TLSCertificateRequest(name: name, dns: ["localhost"], addresses: ["127.0.0.1"], validity: .days(1))
        try (authority ?? self.authority).issue(request).write(to: files(name))
        return files(name)
    }

    private func server(_ files: TLSCertificateFiles, persistent: Bool = false) throws -> RedisServer {
        let port = try RedisServer.freePort()
        return try RedisServer(listener: .encrypted(port, files, ca: self.files("ca").chain), persistent: persistent)
    }

    private func encryption(_ certificate: TLSCertificateFiles?, trust: String? = nil) throws -> TLSCredentials {
        let settings = TLSClientSettings(trustFile: trust ?? files("ca").chain, certificate: certificate)
        return try TLSCredentials(.client(settings), logger: Logger(label: "test"))
    }

    /// Why the store is down, as soon as it says so.
    private func reason(_ address: RedisAddress, _ encryption: TLSCredentials?) async throws -> String {
        let store = try await group.connectToRedis(address, encryption: encryption)
        var reason = "not connected yet"
        let deadline = Date().addingTimeInterval(10)
        while reason == "not connected yet", Date() < deadline {
            if case .down(let text) = try await store.look({ $0.state }) { reason = text }
        }
        #expect(store.states.ups == 0)
        try await store.close()
        return reason
    }

    @Test("works, and comes back after a restart")
    func works() async throws {
        let server = try server(issue("redis"), persistent: true)
        let store = try await group.connectToRedis(server.address, encryption: encryption(issue("relay")))
        try store.whenUp()
        _ = try await store.call { $0.open(room, .first()) }
        expect(try await store.call { $0.append(room, .of("a")) }, is: [.appended(at(1, 1))])
        #expect(try server.run("XLEN", "hg:log:{eu/lobby}:eu/lobby") == "1")
        // More than one record, both ways.
        let body = ByteBuffer(repeating: 7, count: 300_000)
        let entry = AppendBatch.Entry(user: "alice", key: "long", at: 1_000, body: body)
        _ = try await store.call { $0.append(room, AppendBatch(fence: standardFence, messages: [entry], retention: .init(), name: "one")) }
        let read = try await store.call { $0.read(room, after: nil, before: nil, limit: 10, newest: false) }
        #expect(read.map(\.body.readableBytes) == [1, 300_000])
        try server.restart()
        try store.whenUp(times: 2)
        expect(try await store.call { $0.head(of: room) }, is: at(1, 2))
        try await store.close()
    }

    @Test("each way in which both do not trust each other is told")
    func refused() async throws {
        let server = try server(issue("redis"))
        #expect(try await reason(server.address, encryption(nil)).contains("alert_"), "no certificate")
        let foreign = try TLSAuthority.make(name: "other", validity: .days(1))
        try foreign.write(to: files("other-ca"))
        let stranger = try encryption(issue("stranger", from: foreign))
        #expect(try await reason(server.address, stranger).contains("alert_unknown_ca"))
        let distrusting = try encryption(issue("relay"), trust: files("other-ca").chain)
        #expect(try await reason(server.address, distrusting).contains("unknown_ca"))
        let port = try RedisServer.freePort()
        let plain = try RedisServer(listener: .port(port))
        #expect(try await reason(plain.address, encryption(issue("relay"))).isEmpty == false, "TLS to a server in the clear")
        #expect(try await reason(server.address, nil).isEmpty == false, "in the clear to a server with TLS")
        _ = try plain.run("PING")
    }
}
