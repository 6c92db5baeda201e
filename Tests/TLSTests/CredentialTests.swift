import Foundation
import Logging
import MeshCore
import Synchronization
import Testing

@testable import TLS

/// Keeps what is logged.
private struct LogKeeper: LogHandler {
    final class Lines: Sendable { let all = Mutex<[String]>([]) }
    let lines: Lines
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.all.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

@Suite("Certificates that change")
struct CredentialTests {
    let certificates: Certificates
    let files: TLSCertificateFiles
    private let lines = LogKeeper.Lines()

    init() throws {
        certificates = try Certificates()
        files = try certificates.issue("relay.test")
    }

    private func credentials() throws -> TLSCredentials {
        let logger = Logger(label: "test") { [lines] _ in LogKeeper(lines: lines) }
        return try TLSCredentials(.server(TLSServerSettings(certificates: [files])), logger: logger)
    }

    private func clientSees(_ context: TLSContext) throws -> TLSPeerNames? {
        let client = try TLSContext.client(TLSClientSettings(trustFile: certificates.ca, verifiesName: false))
        return Pair(client, context).shake().client.session.handshake?.peerNames
    }

    private func replace(with dns: String) throws {
        try certificates.authority.issue(TLSCertificateRequest(name: "new", dns: [dns], validity: .days(2))).write(to: files)
    }

    @Test("new files are taken by new connections, old connections live on")
    func changed() throws {
        let credentials = try credentials()
        let client = try TLSContext.client(TLSClientSettings(trustFile: certificates.ca))
        let old = Pair(client, credentials.context).shake()
        let first = credentials.context
        credentials.look()
        #expect(credentials.context === first)
        try replace(with: "new.test")
        credentials.look()
        #expect(credentials.context === first, "they may be half written")
        credentials.look()
        #expect(credentials.context !== first)
        #expect(try clientSees(credentials.context)?.dns == ["new.test"])
        #expect(credentials.figures.generation == 2 && credentials.figures.reloads == 1 && credentials.figures.failures == 0)
        try old.client.encrypt("still here")
        old.exchange()
        #expect(old.server.takeText() == "still here")
        credentials.look()
        #expect(credentials.figures.generation == 2)
    }

    @Test("what cannot be used is told once and changes nothing, until it can")
    func broken() throws {
        let credentials = try credentials()
        let first = credentials.context
        let key = try String(contentsOfFile: files.key, encoding: .utf8)
        try "damaged".write(toFile: files.key, atomically: true, encoding: .utf8)
        for _ in 0..<5 { credentials.look() }
        #expect(credentials.context === first)
        #expect(credentials.figures.failures == 1)
        let errors = lines.all.withLock { $0.filter { $0.hasPrefix("error") } }
        #expect(errors.count == 1)
        #expect(errors.first?.contains(files.key) == true && errors.first?.contains("holds no private key") == true)
        try key.write(toFile: files.key, atomically: true, encoding: .utf8)
        for _ in 0..<5 { credentials.look() }
        #expect(credentials.figures.failures == 1 && credentials.figures.reloads == 1)
    }

    @Test("a key without its certificate yet is a failure at most, and both together are taken")
    func halfWritten() throws {
        let credentials = try credentials()
        let issued = try certificates.authority.issue(TLSCertificateRequest(name: "new", dns: ["new.test"], validity: .days(2)))
        try issued.key.write(toFile: files.key, atomically: true, encoding: .utf8)
        credentials.look()
        try issued.certificate.write(toFile: files.chain, atomically: true, encoding: .utf8)
        credentials.look()
        #expect(credentials.figures.failures == 0, "nothing stood still yet")
        credentials.look()
        #expect(credentials.figures.reloads == 1 && credentials.figures.failures == 0)
        #expect(try clientSees(credentials.context)?.dns == ["new.test"])
    }

    @Test("reload reads at once, changed or not; files that are gone keep the old")
    func forced() throws {
        let credentials = try credentials()
        let first = credentials.context
        credentials.reload()
        #expect(credentials.context !== first && credentials.figures.reloads == 1)
        try FileManager.default.removeItem(atPath: files.chain)
        credentials.reload()
        #expect(credentials.figures.failures == 1)
        #expect(try clientSees(credentials.context)?.dns == ["relay.test"])
        credentials.look()
        credentials.look()
        #expect(credentials.figures.failures == 1)
    }

    @Test("ticket keys do not grow old")
    func renewal() throws {
        let credentials = try credentials()
        let now = TLSCredentials.now()
        credentials.look(now: now + .seconds(3_600))
        #expect(credentials.figures.reloads == 0)
        credentials.look(now: now + TLSCredentials.renewAfter + .seconds(60))
        #expect(credentials.figures.reloads == 1)
        credentials.look(now: now + .seconds(3_600))
        #expect(credentials.figures.reloads == 1)
    }

    @Test("the watch looks until it is cancelled")
    func watch() async throws {
        let credentials = try credentials()
        let task = Task { await TLSCredentials.watch([credentials], every: .milliseconds(5)) }
        try replace(with: "new.test")
        try await eventually("the new files are read") { credentials.figures.reloads == 1 }
        task.cancel()
        await task.value
    }

    @Test("files are read when they have changed and stand still")
    func decision() {
        func mark(_ number: Int64) -> FileMark { FileMark(inode: 1, size: 1, seconds: number) }
        var watch = FileWatch(loaded: [mark(1), mark(1)])
        let looks: [[Int64]] = [[1, 1], [2, 1], [2, 2], [2, 2], [2, 2], [1, 1], [1, 1], [1, 1]]
        // Back to older files is a change too.
        #expect(looks.map { watch.look($0.map(mark)) } == [false, false, false, true, false, false, true, false])
        #expect(FileMark("/nowhere/at/all") == FileMark(inode: 0, size: 0, seconds: 0))
        #expect(FileMark("/dev/null") != FileMark("/nowhere/at/all"))
    }
}
