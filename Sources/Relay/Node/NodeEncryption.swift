import Logging
import MeshConfiguration
import MeshCore
import Operations
import Push
import TLS
import Transport

/// The certificates of a node. Nil is in the clear.
struct NodeEncryption: Sendable {
    /// What the client listener speaks, best first.
    static let clientProtocols = ["h2", "http/1.1"]

    let client: TLSCredentials?
    let operations: TLSCredentials?
    let mesh: LinkEncryption?
    let store: TLSCredentials?
    /// For the servers that notifications are handed to.
    let push: [PushService: TLSCredentials]

    /// Reads the files.
    init(_ configuration: TLSConfiguration, push: PushConfiguration?, logger: Logger) throws(TLSConfigurationFault) {
        func make(_ settings: TLSCredentials.Settings?) throws(TLSConfigurationFault) -> TLSCredentials? {
            guard let settings else { return nil }
            return try TLSCredentials(settings, logger: logger)
        }
        client = try make(
            configuration.client.map { .server(TLSServerSettings(certificates: $0.certificates, alpn: Self.clientProtocols)) })
        operations = try make(
            configuration.operations.map { .server(TLSServerSettings(certificates: $0.certificates, alpn: ["http/1.1"])) })
        store = try make(configuration.store.map { .client($0) })
        var receivers: [PushService: TLSCredentials] = [:]
        if let push {
            for (service, settings) in Self.settings(push) { receivers[service] = try make(.client(settings)) }
        }
        self.push = receivers
        let accepting = try make(configuration.mesh.map { .server($0.serverSettings) })
        let dialling = try make(configuration.mesh.map { .client($0.clientSettings) })
        if let accepting, let dialling {
            mesh = LinkEncryption(accepting: accepting, dialling: dialling)
        } else {
            mesh = nil
        }
    }

    var all: [TLSCredentials] { [client, operations, mesh?.accepting, mesh?.dialling, store].compactMap { $0 } + push.values }

    private static func settings(_ push: PushConfiguration) -> [PushService: TLSClientSettings] {
        var settings: [PushService: TLSClientSettings] = [:]
        if let webhook = push.webhook { settings[.webhook] = TLSClientSettings(trustFile: webhook.trustFile, alpn: ["http/1.1"]) }
        if let apns = push.apns { settings[.apns] = TLSClientSettings(trustFile: apns.trustFile, alpn: ["h2"]) }
        if let fcm = push.fcm { settings[.fcm] = TLSClientSettings(trustFile: fcm.trustFile, alpn: ["h2"]) }
        return settings
    }

    /// Blocks while files are read.
    func reload() {
        for credentials in all { credentials.reload() }
    }

    func metrics() -> [MetricFamily] {
        guard !all.isEmpty else { return [] }
        let figures = all.map(\.figures)
        let results: [(String, UInt64)] = [
            ("ok", figures.reduce(0) { $0 + $1.reloads }), ("failed", figures.reduce(0) { $0 + $1.failures }),
        ]
        let expiries = Dictionary(all.flatMap(\.expiries).map { ($0.file, $0.notAfter) }, uniquingKeysWith: min)
        return [
            MetricFamily(
                "heliograph_tls_reloads_total", .counter, help: "Sets of certificates that were read again, by result.",
                samples: results.map { .init(.integer($0.1), .init("result", $0.0)) }),
            MetricFamily(
                "heliograph_tls_certificate_expiry_seconds", .gauge,
                help: "When a certificate, or one above it, is no longer valid, in seconds since 1970.",
                samples: expiries.sorted { $0.key < $1.key }.map { .init(.number(Double($0.value)), .init("file", $0.key)) }),
        ]
    }
}
