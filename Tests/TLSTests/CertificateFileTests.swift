import Foundation
import TLS
import Testing

@Suite("Certificate files")
struct CertificateFileTests {
    let certificates: Certificates

    init() throws { certificates = try Certificates() }

    private func fault(_ make: () throws -> TLSContext) -> TLSConfigurationFault? {
        do {
            _ = try make()
            return nil
        } catch {
            return error as? TLSConfigurationFault
        }
    }

    private func fault(chain: String, key: String) -> TLSConfigurationFault? {
        fault { try .server(TLSServerSettings(certificates: [TLSCertificateFiles(chain: chain, key: key)])) }
    }

    @Test("missing, empty, foreign, cut and mismatched files are named with the reason")
    func broken() throws {
        let good = try certificates.issue("relay.test")
        let other = try certificates.issue("other.test")
        let empty = try certificates.file("empty.pem", "")
        let text = try certificates.file("text.pem", "this is no certificate\n")
        let pem = try String(contentsOfFile: good.chain, encoding: .utf8)
        let cut = try certificates.file("cut.pem", String(pem.prefix(pem.count / 2)))
        let damaged = try certificates.file("damaged.pem", pem.replacing("MII", with: "AAA"))
        let missing = certificates.folder + "/missing.pem"

        #expect(fault(chain: missing, key: good.key) == TLSConfigurationFault(file: missing, reason: "No such file or directory"))
        #expect(fault(chain: good.chain, key: missing)?.file == missing)
        #expect(fault(chain: empty, key: good.key) == TLSConfigurationFault(file: empty, reason: "holds no certificate"))
        #expect(fault(chain: text, key: good.key)?.reason == "holds no certificate")
        #expect(fault(chain: good.key, key: good.key)?.file == good.key)
        #expect(fault(chain: cut, key: good.key)?.file == cut)
        #expect(fault(chain: damaged, key: good.key)?.file == damaged)
        #expect(fault(chain: good.chain, key: empty) == TLSConfigurationFault(file: empty, reason: "holds no private key"))
        #expect(fault(chain: good.chain, key: good.chain)?.reason == "holds no private key")
        let keyText = try String(contentsOfFile: good.key, encoding: .utf8)
        let badKey = try certificates.file("bad.key", keyText.replacing("MI", with: "AA"))
        #expect(fault(chain: good.chain, key: badKey)?.file == badKey)
        #expect(
            fault(chain: good.chain, key: other.key)
                == TLSConfigurationFault(file: other.key, reason: "is not the key of the certificate in \(good.chain)"))
        #expect(fault(chain: good.chain, key: good.key) == nil)
        #expect(fault { try .server(TLSServerSettings(certificates: [])) }?.file == nil)
        #expect(fault { try .server(TLSServerSettings(certificates: [good], clientTrustFile: text)) }?.file == text)
        #expect(fault { try .client(TLSClientSettings(trustFile: missing)) }?.file == missing)
        #expect(fault { try .server(TLSServerSettings(certificates: [good], alpn: [""])) }?.reason.contains("1 to 255") == true)
    }

    @Test("a good certificate followed by a damaged one is not half a chain")
    func damagedChain() throws {
        let good = try certificates.issue("relay.test")
        let pem = try String(contentsOfFile: good.chain, encoding: .utf8)
        let chain = try certificates.file("chain.pem", pem + pem.replacing("MII", with: "AAA"))
        #expect(fault(chain: chain, key: good.key)?.file == chain)
    }

    @Test("a key is readable by its owner only, and an older one is replaced")
    func modes() throws {
        let files = try certificates.issue("relay.test")
        let first = try String(contentsOfFile: files.key, encoding: .utf8)
        _ = try certificates.issue("relay.test")
        #expect(try String(contentsOfFile: files.key, encoding: .utf8) != first)
        let mode = try FileManager.default.attributesOfItem(atPath: files.key)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(throws: TLSConfigurationFault.self) {
            try certificates.authority.write(to: TLSCertificateFiles(chain: "/nowhere/a", key: "/nowhere/b"))
        }
    }

    @Test("an authority that was written signs on after it was read")
    func reload() throws {
        let written = TLSCertificateFiles(chain: certificates.ca, key: certificates.folder + "/ca.key")
        let loaded = try TLSAuthority.load(written)
        #expect(loaded.certificate == certificates.authority.certificate)
        let files = certificates.files("later")
        try loaded.issue(TLSCertificateRequest(name: "later", dns: ["later.test"], validity: .days(1))).write(to: files)
        let server = try TLSContext.server(TLSServerSettings(certificates: [files]))
        let client = try TLSContext.client(TLSClientSettings(trustFile: certificates.ca))
        #expect(Pair(client, server, name: "later.test").shake().isUp)
        #expect(throws: TLSConfigurationFault.self) { try TLSAuthority.load(files) }
    }

    @Test("names that would become several, or none, are refused", arguments: ["a,DNS:b", "", "a b", "ä.test", "a\\b"])
    func badNames(_ name: String) {
        #expect(throws: TLSConfigurationFault.self) {
            try certificates.authority.issue(TLSCertificateRequest(name: "a", dns: [name], validity: .days(1)))
        }
    }

    @Test("an address that is none is refused")
    func badAddress() {
        #expect(throws: TLSConfigurationFault.self) {
            try certificates.authority.issue(TLSCertificateRequest(name: "a", addresses: ["300.0.0.1"], validity: .days(1)))
        }
    }

    @Test("the end of a certificate is told")
    func expiry() throws {
        let validity = TLSValidity(notBefore: 1_700_000_000, notAfter: 4_000_000_000)
        let files = try certificates.issue("relay.test", validity: validity)
        let context = try TLSContext.server(TLSServerSettings(certificates: [files]))
        #expect(context.expiries.map(\.file) == [files.chain])
        #expect(context.expiries.map(\.notAfter) == [4_000_000_000])
    }
}
