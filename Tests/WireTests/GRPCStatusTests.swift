import Testing
import Wire

@Suite struct GRPCStatusTests {
    @Test(arguments: ["", "plain", "100%", "a%2", "%zz", "grüße \u{1F600}\n\t\0", "%41"]) func messagesComeBackAsTheyWere(text: String) {
        let encoded = GRPCStatus.encoded(message: text)
        #expect(encoded.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        #expect(GRPCStatus.decoded(message: encoded) == text)
    }

    @Test func whatIsNotWellFormedStays() {
        #expect(GRPCStatus.decoded(message: "50% off, %4") == "50% off, %4")
        #expect(GRPCStatus.decoded(message: "%e2%82%ac") == "€")
    }
}
