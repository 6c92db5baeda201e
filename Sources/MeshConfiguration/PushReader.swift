import Foundation
import MeshCore
import TLS

/// Reads the section `push` of a region's file, and whether the files that it names can be used.
struct PushReader {
    let findings: Findings
    /// The file that is read: paths are relative to its folder.
    let file: String

    static let fileBytesMax = 64 << 10

    func read(_ top: inout Section) -> PushConfiguration? {
        guard var section = top.section("push") else { return nil }
        defer { section.finish() }
        let limits = readLimits(&section)
        let (webhook, apns, fcm) = (readWebhook(&section), readAPNs(&section), readFCM(&section))
        if !["webhook", "apns", "fcm"].contains(where: section.has) {
            findings.report("needs at least one of webhook, apns and fcm", at: section.place)
        }
        return PushConfiguration(webhook: webhook, apns: apns, fcm: fcm, limits: limits)
    }

    // MARK: Services

    private func readWebhook(_ push: inout Section) -> PushConfiguration.Webhook? {
        guard var section = push.section("webhook") else { return nil }
        defer { section.finish() }
        let plaintext = readPlaintext(&section)
        let address = readAddress(&section, "url", standard: nil, plaintext)
        let trust = readTrust(&section)
        guard let secret = section.required("secretFile", ScalarParsers.text) else { return nil }
        let secretFile = resolve(secret.value)
        do throws(TokenSecretFault) {
            _ = try TokenSecret(file: secretFile)
        } catch {
            findings.report(error.description, at: secret.place)
        }
        return address.map { .init(address: $0, secretFile: secretFile, trustFile: trust) }
    }

    private func readAPNs(_ push: inout Section) -> PushConfiguration.APNs? {
        guard var section = push.section("apns") else { return nil }
        defer { section.finish() }
        let plaintext = readPlaintext(&section)
        let address = readAddress(&section, "host", standard: PushConfiguration.APNs.host, plaintext)
        let trust = readTrust(&section)
        let key = section.required("keyFile", ScalarParsers.text)
        let keyID = section.required("keyId", ScalarParsers.name)
        let teamID = section.required("teamId", ScalarParsers.name)
        let topic = section.required("topic", ScalarParsers.name)
        if let key { check(key) { $0.contains("-----BEGIN PRIVATE KEY-----") ? nil : "is no private key in PEM (PKCS #8)" } }
        guard let address, let key, let keyID, let teamID, let topic else { return nil }
        return .init(
            address: address, keyFile: resolve(key.value), keyID: keyID.value, teamID: teamID.value, topic: topic.value, trustFile: trust)
    }

    private func readFCM(_ push: inout Section) -> PushConfiguration.FCM? {
        guard var section = push.section("fcm") else { return nil }
        defer { section.finish() }
        let plaintext = readPlaintext(&section)
        let address = readAddress(&section, "host", standard: PushConfiguration.FCM.host, plaintext)
        let trust = readTrust(&section)
        guard let account = section.required("serviceAccountFile", ScalarParsers.text) else { return nil }
        check(account) { text in
            let fields = (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
            let wanted = ["project_id", "private_key_id", "private_key", "client_email", "token_uri"]
            let missing = wanted.filter { !(fields[$0] is String) }
            guard missing.isEmpty else { return "is no service account: \(missing.joined(separator: ", ")) is missing" }
            return Self.fault(inTokenAddress: fields["token_uri"] as? String ?? "", plaintext).map { "token_uri \($0)" }
        }
        return address.map { .init(address: $0, serviceAccountFile: resolve(account.value), trustFile: trust) }
    }

    // MARK: Fields

    private enum Plaintext: String, CaseIterable { case refuse, allow }

    private func readPlaintext(_ section: inout Section) -> Plaintext {
        section.optional("plaintext", ScalarParsers.choice(Plaintext.self))?.value ?? .refuse
    }

    private func readAddress(_ section: inout Section, _ field: String, standard: String?, _ plaintext: Plaintext) -> WebAddress? {
        let read = standard == nil ? section.required(field, Self.address) : section.optional(field, Self.address)
        guard let read else { return section.has(field) ? nil : standard.flatMap { WebAddress($0) } }
        if Self.isInTheClear(read.value, plaintext) {
            findings.report("would send messages in the clear: use https://, or set plaintext: allow", at: read.place)
        }
        return read.value
    }

    /// What is sent holds what people write, or lets others send it: in the clear it goes to this machine only, unless the file says
    /// otherwise.
    private static func isInTheClear(_ address: WebAddress, _ plaintext: Plaintext) -> Bool {
        !address.isEncrypted && !address.isLoopback && plaintext == .refuse
    }

    private static func fault(inTokenAddress url: String, _ plaintext: Plaintext) -> String? {
        guard let address = WebAddress(url) else { return "`\(url)` is not an http:// or https:// URL" }
        guard isInTheClear(address, plaintext) else { return nil }
        return "would send credentials in the clear: use https://, or set plaintext: allow"
    }

    private static func address(_ text: String) throws(InvalidValue) -> WebAddress {
        guard let address = WebAddress(text) else { throw InvalidValue("`\(text)` is not an http:// or https:// URL") }
        return address
    }

    private func readTrust(_ section: inout Section) -> String? {
        guard let trust = section.optional("trust", ScalarParsers.text) else { return nil }
        let path = resolve(trust.value)
        do throws(TLSConfigurationFault) {
            _ = try TLSContext.client(TLSClientSettings(trustFile: path))
        } catch {
            findings.report("\(error)", at: trust.place)
        }
        return path
    }

    private func resolve(_ path: String) -> String { FilePath.resolve(path, namedIn: file) }

    /// Reports a file that cannot be read, or about which `fault` has something to say.
    private func check(_ field: Located<String>, _ fault: (String) -> String?) {
        let path = resolve(field.value)
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            guard data.count <= Self.fileBytesMax else {
                return findings.report("\(path) has more than \(Self.fileBytesMax) bytes", at: field.place)
            }
            if let fault = fault(String(decoding: data, as: UTF8.self)) { findings.report("\(path) \(fault)", at: field.place) }
        } catch {
            findings.report("cannot read \(path): \(FileFault.describe(error))", at: field.place)
        }
    }

    // MARK: Limits

    private func readLimits(_ section: inout Section) -> PushLimits {
        var limits = PushLimits()
        func count(_ name: String, _ keyPath: WritableKeyPath<PushLimits, Int>, _ range: ClosedRange<Int>) {
            if let read = section.optional(name, ScalarParsers.integer(range)) { limits[keyPath: keyPath] = read.value }
        }
        func time(_ name: String, _ keyPath: WritableKeyPath<PushLimits, TimeSpan>, _ range: ClosedRange<TimeSpan>) {
            if let read = section.optional(name, ScalarParsers.timeSpan(range)) { limits[keyPath: keyPath] = read.value }
        }
        count("queueMax", \.queueMax, 1...10_000_000)
        count("triesMax", \.triesMax, 1...10_000)
        count("previewBytesMax", \.previewBytesMax, 0...2_048)
        time("ageMax", \.ageMax, .seconds(1) ... .seconds(7 * 86_400))
        time("retryLeast", \.retryLeast, .milliseconds(10) ... .seconds(3_600))
        time("retryMost", \.retryMost, .milliseconds(10) ... .seconds(3_600))
        time("deadline", \.deadline, .milliseconds(100) ... .seconds(60))
        time("lease", \.lease, .milliseconds(500) ... .seconds(600))
        RelayRelations.check(limits, Self.relations, in: section)
        return limits
    }

    private static let relations: [RelayRelations.Relation<PushLimits>] = [
        .init(fields: ["retryLeast", "retryMost"], message: "retryLeast must not exceed retryMost") { $0.retryLeast <= $0.retryMost },
        .init(
            fields: ["lease", "deadline"],
            message: "lease must be more than 3 x deadline: what is still being sent must not be claimed by another node"
        ) { $0.lease > $0.deadline * 3 },
    ]
}
