import Foundation
import MeshConfiguration
import MeshCore
import Testing

@Suite struct PushTests {
    private static let key = "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n"
    private static let account = """
        {"project_id":"chat-1","private_key_id":"k","private_key":"p","client_email":"e@example","token_uri":"https://oauth2.example/token"}
        """
    private static let webhook = """
        push:
          webhook:
            url: https://hooks.example/heliograph?a=b
            secretFile: hook.secret
        """
    private static let all =
        webhook + "\n" + """
              apns:
                keyFile: apns.p8
                keyId: ABC123DEFG
                teamId: TEAM567890
                topic: com.example.chat
              fcm:
                serviceAccountFile: account.json
                host: http://127.0.0.1:9000
              queueMax: 10
              triesMax: 3
              ageMax: 90s
              retryLeast: 20ms
              retryMost: 2s
              deadline: 500ms
              lease: 2s
              previewBytesMax: 0
            """

    private func files(_ section: String) throws -> Files {
        let files = try Files(region: Files.region + "\n" + section)
        try files.write(String(repeating: "h", count: 32), "hook.secret")
        try files.write(Self.key, "apns.p8")
        try files.write(Self.account, "account.json")
        return files
    }

    @Test("without the section there is none") func absent() throws {
        #expect(try Files().load().get().push == nil)
    }

    @Test("everything that may be set is read") func everything() throws {
        let files = try files(Self.all)
        let push = try #require(try files.load().get().push)
        #expect(push.webhook?.address == WebAddress("https://hooks.example/heliograph?a=b"))
        #expect(push.webhook?.secretFile == files.folder + "/hook.secret")
        #expect(push.apns?.address == WebAddress("https://api.push.apple.com") && push.apns?.keyFile == files.folder + "/apns.p8")
        #expect(push.apns?.keyID == "ABC123DEFG" && push.apns?.teamID == "TEAM567890" && push.apns?.topic == "com.example.chat")
        #expect(push.fcm?.address == WebAddress("http://127.0.0.1:9000"))
        #expect(push.fcm?.serviceAccountFile == files.folder + "/account.json")
        var limits = PushLimits()
        (limits.queueMax, limits.triesMax, limits.previewBytesMax) = (10, 3, 0)
        (limits.ageMax, limits.retryLeast, limits.retryMost) = (.seconds(90), .milliseconds(20), .seconds(2))
        (limits.deadline, limits.lease) = (.milliseconds(500), .seconds(2))
        #expect(push.limits == limits)
    }

    @Test("the defaults satisfy the relations") func defaults() throws {
        #expect(try files(Self.webhook).load().get().push?.limits == PushLimits())
    }

    private static let mistakes: [(text: String, broken: String, error: String)] = [
        ("    secretFile: hook.secret\n", "", "eu-west.yaml:18: push.webhook.secretFile: is missing"),
        ("hook.secret", "none.secret", "eu-west.yaml:20: push.webhook.secretFile: cannot read FOLDER/none.secret: no such file"),
        (
            "https://hooks.example/heliograph?a=b", "hooks.example",
            "eu-west.yaml:19: push.webhook.url: `hooks.example` is not an http:// or https:// URL"
        ),
        (
            "https://hooks", "http://hooks",
            "eu-west.yaml:19: push.webhook.url: would send messages in the clear: use https://, or set plaintext: allow"
        ),
        ("    keyId: ABC123DEFG\n", "", "eu-west.yaml:21: push.apns.keyId: is missing"),
        ("apns.p8", "hook.secret", "eu-west.yaml:22: push.apns.keyFile: FOLDER/hook.secret is no private key in PEM (PKCS #8)"),
        (
            "account.json", "hook.secret",
            "eu-west.yaml:27: push.fcm.serviceAccountFile: FOLDER/hook.secret is no service account: project_id, private_key_id, "
                + "private_key, client_email, token_uri is missing"
        ),
        ("queueMax: 10", "queueMost: 10", "eu-west.yaml:29: push.queueMost: unknown field; did you mean `queueMax`?"),
        ("retryLeast: 20ms", "retryLeast: 3s", "eu-west.yaml:32: push.retryLeast: retryLeast must not exceed retryMost"),
        (
            "lease: 2s", "lease: 1500ms",
            "eu-west.yaml:35: push.lease: lease must be more than 3 x deadline: what is still being sent must not be claimed by another node"
        ),
    ]

    @Test("one mistake, one line", arguments: PushTests.mistakes.indices) func mistake(_ index: Int) throws {
        let mistake = Self.mistakes[index]
        let broken = Self.all.replacing(mistake.text, with: mistake.broken, maxReplacements: 1)
        #expect(broken != Self.all)
        let files = try files(broken)
        #expect(files.errors() == [mistake.error.replacing("FOLDER/", with: "")])
    }

    @Test(
        "a service account's token_uri has to be one, and not in the clear",
        arguments: [
            ("http://oauth2.example/token", "token_uri would send credentials in the clear: use https://, or set plaintext: allow"),
            ("oauth2.example", "token_uri `oauth2.example` is not an http:// or https:// URL"),
        ])
    func tokenAddress(_ url: String, _ fault: String) throws {
        let files = try files(Self.all)
        try files.write(Self.account.replacing("https://oauth2.example/token", with: url), "account.json")
        #expect(files.errors() == ["eu-west.yaml:27: push.fcm.serviceAccountFile: account.json \(fault)"])
    }

    @Test("a token_uri in the clear may be allowed by name, and on this machine needs no allowance") func plainTokenAddress() throws {
        let files = try files(Self.all)
        try files.write(Self.account.replacing("https://oauth2.example", with: "http://127.0.0.1:9000"), "account.json")
        #expect(files.errors() == [])
        let allowed = try self.files(Self.all.replacing("    host: http", with: "    plaintext: allow\n    host: http"))
        try allowed.write(Self.account.replacing("https://", with: "http://"), "account.json")
        #expect(allowed.errors() == [])
    }

    @Test("a section without a service would queue for nobody") func nobody() throws {
        #expect(try files("push:\n  queueMax: 10").errors() == ["eu-west.yaml:17: push: needs at least one of webhook, apns and fcm"])
    }

    @Test("cleartext to another machine has to be allowed by name") func plaintext() throws {
        let section = Self.webhook.replacing("https://hooks", with: "http://hooks") + "\n    plaintext: allow"
        #expect(try files(section).load().get().push?.webhook?.address.isEncrypted == false)
    }
}
