import Foundation
import HeliographClient
import Logging
import MeshCore
import NIOCore
import TLS
import Testing

@testable import Operations

@Suite("Operations listener over TLS", .timeLimit(.minutes(1)))
final class EncryptedListenerTests {
    private let folder = NSTemporaryDirectory() + "hg-operations-tls-\(UUID().uuidString.prefix(8))"
    private let authority: TLSAuthority
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        authority = try TLSAuthority.make(name: "test", validity: .days(1))
        try authority.write(to: files("ca"))
        try issue("127.0.0.1")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func files(_ name: String) -> TLSCertificateFiles {
        TLSCertificateFiles(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
    }

    private func issue(_ address: String) throws {
        try authority.issue(TLSCertificateRequest(name: "operations", addresses: [address], validity: .days(1))).write(to: files("own"))
    }

    private func serve(
        limits: OperationsListener.Limits = .init(), _ body: (TLSCredentials, Int) async throws -> Void
    ) async throws {
        let settings = TLSServerSettings(certificates: [files("own")], alpn: ["http/1.1"])
        let credentials = try TLSCredentials(.server(settings), logger: logger)
        let listener = OperationsListener(
            host: "127.0.0.1", port: 0, inspector: FakeInspector(), encryption: credentials, logger: logger, limits: limits)
        let running = try await listener.start()
        do {
            try await body(credentials, running.port)
        } catch {
            await running.stop()
            throw error
        }
        await running.stop()
    }

    private func fault(_ url: String, trust: String) async -> HTTPGetError? {
        do {
            _ = try await HTTPGet.fetch(url, tls: ClientTLSOptions(trustFile: trust))
            return nil
        } catch {
            return error as? HTTPGetError
        }
    }

    @Test("answers over HTTPS, again and again, and to several at once")
    func answers() async throws {
        let ca = files("ca").chain
        try await serve { _, port async throws -> Void in
            let url = "https://127.0.0.1:\(port)"
            let regions = try await HTTPGet.fetch(url + "/v1/regions", tls: ClientTLSOptions(trustFile: ca))
            #expect(regions.status == 200)
            #expect(String(buffer: regions.body).contains("eu-west"))
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await HTTPGet.fetch(url + "/readyz", tls: ClientTLSOptions(trustFile: ca)).status } }
                for try await status in group { #expect(status == 200) }
            }
        }
    }

    @Test("nothing in the clear, nothing for those who do not trust it, and it goes on")
    func refused() async throws {
        let foreign = try TLSAuthority.make(name: "other", validity: .days(1))
        try foreign.write(to: files("other"))
        let (ca, other) = (files("ca").chain, files("other").chain)
        try await serve { _, port async throws -> Void in
            #expect(await fault("http://127.0.0.1:\(port)/healthz", trust: ca) != nil)
            let distrusted = await fault("https://127.0.0.1:\(port)/healthz", trust: other)
            guard case .unreachable(_, let cause) = distrusted else {
                Issue.record("\(String(describing: distrusted))")
                return
            }
            #expect(cause.contains("unknown_ca"))
            #expect(try await HTTPGet.fetch("https://127.0.0.1:\(port)/healthz", tls: ClientTLSOptions(trustFile: ca)).status == 200)
        }
    }

    @Test("new certificates are served after a reload")
    func reload() async throws {
        let ca = files("ca").chain
        try await serve { credentials, port async throws -> Void in
            try issue("127.0.0.9")
            #expect(await fault("https://127.0.0.1:\(port)/healthz", trust: ca) == nil)
            credentials.reload()
            let wrong = await fault("https://127.0.0.1:\(port)/healthz", trust: ca)
            guard case .unreachable(_, let cause) = wrong else {
                Issue.record("\(String(describing: wrong))")
                return
            }
            #expect(cause.contains("wrong_name"))
        }
    }

    @Test("who never shakes hands is cut off")
    func silent() async throws {
        var limits = OperationsListener.Limits()
        limits.handshake = .milliseconds(100)
        try await serve(limits: limits) { _, port async throws -> Void in
            // The beginning of a record.
            #expect(try await raw("\u{16}\u{3}\u{1}", to: port).isEmpty)
        }
    }
}
