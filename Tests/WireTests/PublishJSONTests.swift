import MeshCore
import NIOCore
import SwiftProtobuf
import Testing

@testable import Wire

/// A publish is read by hand; what is unusual in it is not.
@Suite struct PublishJSONTests {
    private func byHand(_ text: String) -> RelayClientFrame? { byHand(Array(text.utf8)) }
    private func byHand(_ bytes: [UInt8]) -> RelayClientFrame? { bytes.withUnsafeBytes { PublishJSON.frame($0) } }

    private func generally(_ text: String) throws -> RelayClientFrame {
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        return try RelayClientFrame(jsonUTF8Bytes: Array(text.utf8), options: options)
    }

    private static let usual = [
        #"{"id":7,"publish":{"room":"r","text":"t"}}"#,
        #"{"publish":{"text":"hello ☂ größe","room":"us/lobby","key":"k-1","contentType":"text/plain","durability":"EPHEMERAL"},"id":4294967295}"#,
        " {\t\"id\" : 0 ,\r\n \"publish\" : { \"room\" : \"\" , \"text\" : \"\" } } \n",
        #"{"publish":{"room":"r","text":"t","durability":"HOME"}}"#, #"{"publish":{"text":"t","durability":"MESH"}}"#,
    ]

    @Test(arguments: usual) func readByHandIsWhatIsReadGenerally(text: String) throws {
        #expect(try byHand(text) == generally(text))
        #expect(try decodeClient(text) == [generally(text)])
    }

    @Test(arguments: [
        #"{"id":7,"publish":{"room":"r","text":"a\"b"}}"#, #"{"id":7,"publish":{"room":"r","headers":{"a":"b"}}}"#,
        #"{"id":7,"publish":{"room":"r","data":"AAEC"}}"#, #"{"id":"7","publish":{"room":"r","text":"t"}}"#,
        #"{"id":7,"publish":{"room":"r","text":"t","new":1}}"#, #"{"id":7,"publish":{"room":"r","durability":1}}"#,
        #"{"id":7,"publish":{}}"#, #"{"id":7.0,"publish":{"room":"r"}}"#, #"{"id":7e0,"publish":{"room":"r"}}"#, #"{"id":7,"ping":{}}"#,
        #"{"id":7,"publish":{"room":null,"text":"t"}}"#, #"{"id":7,"publish":{"content_type":"t"}}"#,
    ])
    func theUnusualIsReadGenerally(text: String) throws {
        #expect(byHand(text) == nil)
        #expect(try decodeClient(text) == [generally(text)])
    }

    @Test(arguments: [
        #"{"id":07,"publish":{"room":"r"}}"#, #"{"id":-1,"publish":{"room":"r"}}"#, #"{"id":4294967296,"publish":{"room":"r"}}"#,
        #"{"id":,"publish":{"room":"r"}}"#, #"{"id":7,"publish":{"room":"r","text":"t","text":"u"}}"#,
        #"{"id":7,"id":8,"publish":{"room":"r"}}"#,
        #"{"id":7,"publish":{"room":"r"}"#, #"{"id":7,"publish":{"room":"r"}}}"#, #"{"id":7,"publish":{"room":"r",}}"#,
        #"{"id":7 "publish":{"room":"r"}}"#, #"{"id":7,"publish":{"room":"r}}"#, "{\"publish\":{\"text\":\"\u{1}\"}}",
        #"{"publish":{"durability":"ELSEWHERE"}}"#, "", "{", #"{"id":7}"#, #"{"publish":{"room":"r"},"publish":{"room":"s"}}"#,
    ])
    func theWrongIsNot(text: String) { #expect(byHand(text) == nil) }

    @Test func brokenUTF8IsNot() {
        for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x98]] {
            let frame = Array(#"{"publish":{"room":"r","text":""#.utf8) + bytes + Array(#""}}"#.utf8)
            #expect(byHand(frame) == nil)
            #expect(throws: FrameFault.malformed) {
                _ = try ClientFrameDecoder.decode(ByteBuffer(bytes: frame), encoding: .json, frameBytesMax: 1000)
            }
        }
    }

    /// Cut or changed anywhere, it is read as it is read generally, or not at all.
    @Test(arguments: 0..<200) func whateverHappensToIt(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var bytes = Array(Self.usual[seed % Self.usual.count].utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let index = Int.random(in: bytes.indices, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.remove(at: index)
            default: bytes.insert(contentsOf: bytes[index...].prefix(4), at: index)
            }
        }
        guard let frame = byHand(bytes) else { return }
        #expect(try frame == RelayClientFrame(jsonUTF8Bytes: bytes), "seed \(seed)")
    }
}
