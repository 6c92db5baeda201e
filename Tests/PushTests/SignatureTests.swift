import MeshCore
import Push
import TLS
import Testing

@Suite struct SignatureTests {
    @Test("RFC 4231, test cases 1 to 3") func knownVectors() {
        func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
        let cases: [(key: [UInt8], message: [UInt8], code: String)] = [
            (
                Array(repeating: 0x0b, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                Array(repeating: 0xaa, count: 20), Array(repeating: 0xdd, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
        ]
        for (key, message, code) in cases { #expect(hex(MessageAuthentication.hmacSHA256(message, key: key)) == code) }
    }

    @Test("the signature that the documentation shows") func webhookSignature() {
        // printf '1795336284.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let signature = WebhookSignature.sign(
            timestamp: "1795336284", body: Array("{}".utf8), secret: Array("0123456789abcdef0123456789abcdef".utf8))
        #expect(signature == "v1=55eac159b01ab52d7c2ac2a9ecd26dc9d0e27e70eb3c55f7f37f7ecfd82e68c3")
    }
}
