import FaultProxy
import Foundation
import MeshCore
import NIOCore
import NIOPosix
import Testing

@Suite("A proxy with faults", .timeLimit(.minutes(1))) struct FaultProxyTests {
    @Test func passesEverythingBothWays() async throws {
        let pair = try await ProxiedPair.start()
        let text = String(repeating: "heliograph ", count: 400_000)
        pair.send(text)
        try await eventually("all comes back") { pair.heard.utf8.count == text.utf8.count }
        #expect(pair.heard == text)
        await pair.stop()
    }

    @Test func theEndOfOneIsTheEndOfTheOther() async throws {
        let pair = try await ProxiedPair.start()
        pair.send("a")
        try await eventually("the echo") { pair.heard == "a" }
        #expect(try await pair.proxy.connections == 1)
        await pair.client.close()
        try await eventually("the server's end is closed") { pair.serverEnds == 1 }
        try await eventually("nothing is left") { try await pair.proxy.connections == 0 }
        await pair.stop()
    }

    @Test func aServerThatDoesNotListenIsAReset() async throws {
        let pair = try await ProxiedPair.start()
        await pair.server.close()
        do {
            let other = try await pair.dial()
            try await eventually("closed") { other.isClosed }
        } catch let error as NIOConnectionError {
            // It may come before the client knows that it is connected.
            #expect(error.connectionErrors.allSatisfy { ($0.error as? IOError)?.errnoCode == ECONNRESET }, "\(error)")
        }
        await pair.stop()
    }

    @Test(arguments: LinkDirection.allCases) func silenceHoldsWhatIsSentAndHealingBringsItAll(direction: LinkDirection) async throws {
        let pair = try await ProxiedPair.start()
        pair.send("a")
        try await eventually("the echo") { pair.heard == "a" }
        try await pair.proxy.apply(.silence, to: direction)
        for word in ["b", "c", "d"] { pair.send(word) }
        if direction == .back { try await eventually("it arrives there") { pair.heardByServer == "abcd" } }
        // A second pair that nothing is wrong with has had time for a thousand round trips.
        let other = try await ProxiedPair.start()
        for n in 1...1_000 {
            other.send("x")
            try await eventually("round trip \(n)") { other.heard.count == n }
        }
        #expect(pair.heard == "a" && (direction == .back || pair.heardByServer == "a"))
        #expect(!pair.client.isClosed && pair.serverEnds == 0)
        try await pair.proxy.heal(direction)
        try await eventually("all of it") { pair.heard == "abcd" }
        await other.stop()
        await pair.stop()
    }

    @Test func silenceHidesTheEndOfAConnectionToo() async throws {
        let pair = try await ProxiedPair.start()
        pair.send("a")
        try await eventually("the echo") { pair.heard == "a" }
        try await pair.proxy.apply(.silence, to: .there)
        pair.send("b")
        await pair.client.close()
        let other = try await ProxiedPair.start()
        for n in 1...200 {
            other.send("x")
            try await eventually("round trip \(n)") { other.heard.count == n }
        }
        #expect(pair.serverEnds == 0 && pair.heardByServer == "a")
        try await pair.proxy.heal()
        try await eventually("the end, behind what was sent before it") { pair.serverEnds == 1 && pair.heardByServer == "ab" }
        await other.stop()
        await pair.stop()
    }

    @Test func aConnectionMadeInSilenceWaits() async throws {
        let pair = try await ProxiedPair.start()
        pair.send("a")
        try await eventually("the echo") { pair.heard == "a" }
        try await pair.proxy.apply(.silence, to: .back)
        let other = try await pair.dial()
        other.send("late")
        try await eventually("the proxy has it") { try await pair.proxy.connections == 2 }
        #expect(pair.accepted == 1)
        try await pair.proxy.heal()
        try await eventually("the echo") { other.heard == "late" }
        await other.close()
        await pair.stop()
    }

    @Test func aResetEndsWhatIsOpenAndWhatComes() async throws {
        let pair = try await ProxiedPair.start()
        pair.send("a")
        try await eventually("the echo") { pair.heard == "a" }
        try await pair.proxy.apply(.reset)
        try await eventually("both ends are closed") { pair.client.isClosed && pair.serverEnds == 1 }
        // The reset may come before the client knows that it was connected.
        if let refused = try? await pair.dial() { try await eventually("closed at once") { refused.isClosed } }
        try await pair.proxy.heal()
        let good = try await pair.dial()
        good.send("b")
        try await eventually("the echo") { good.heard == "b" }
        await good.close()
        await pair.stop()
    }

    @Test func aDelayKeepsTheOrder() async throws {
        let pair = try await ProxiedPair.start()
        try await pair.proxy.apply(.delay(.milliseconds(300)), to: .there)
        let begun = ContinuousClock.now
        pair.send("a")
        pair.send("b")
        try await eventually("the echo") { pair.heard == "ab" }
        #expect(ContinuousClock.now - begun >= .milliseconds(300))
        pair.send("c")
        try await pair.proxy.heal()
        pair.send("d")
        try await eventually("what was delayed comes first") { pair.heard == "abcd" }
        await pair.stop()
    }

    @Test func aReaderThatDoesNotReadHoldsTheSenderBack() async throws {
        let pair = try await ProxiedPair.start()
        try await pair.proxy.apply(.silence, to: .back)
        let text = String(repeating: "0123456789", count: 3 << 20)
        pair.send(text)
        try await eventually("the server has all") { pair.heardByServer.utf8.count == text.utf8.count }
        try await pair.proxy.heal()
        try await eventually("all comes back", within: .seconds(30)) { pair.heard.utf8.count == text.utf8.count }
        await pair.stop()
    }
}
