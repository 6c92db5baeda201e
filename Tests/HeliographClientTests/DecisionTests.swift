import MeshCore
import TLS
import Testing

@testable import HeliographClient

@Suite struct ReconnectPolicyTests {
    private let origin: RelayURL
    private var random = SeededRandom(seed: 7)

    init() throws { origin = try RelayURL("ws://origin:7100") }

    private func makePolicy() -> ReconnectPolicy {
        var settings = ReconnectPolicy.Settings()
        settings.delayMin = .milliseconds(100)
        settings.delayMax = .seconds(10)
        settings.stableAfter = .seconds(5)
        return ReconnectPolicy(origin: origin, settings: settings)
    }

    private func delay(_ decision: ReconnectPolicy.Decision) -> TimeSpan {
        guard case .reconnect(let delay, _) = decision else { return TimeSpan(nanoseconds: -1) }
        return delay
    }

    private func target(_ decision: ReconnectPolicy.Decision) -> String? {
        guard case .reconnect(_, let url) = decision else { return nil }
        return url.host
    }

    @Test func codesDecide() {
        for (code, returns) in [(4000, true), (4004, true), (4499, true), (4500, false), (4504, false), (4999, false)] as [(UInt32, Bool)] {
            #expect(DisconnectCause.goodbye(code: code, reason: "", afterMs: 0, edges: []).allowsReturn == returns)
            #expect(DisconnectCause.closeFrame(code: UInt16(code), reason: "").allowsReturn == returns)
        }
        for (code, returns) in [(1000, true), (1001, true), (1011, true), (1002, false), (1007, false), (1009, false)] as [(UInt16, Bool)] {
            #expect(DisconnectCause.closeFrame(code: code, reason: "").allowsReturn == returns)
        }
        #expect(DisconnectCause.closeFrame(code: nil, reason: "").allowsReturn)
    }

    @Test mutating func backOffGrowsAndBeginsAnewOnlyAfterAStableConnection() {
        var policy = makePolicy()
        var now = Instant.zero
        var last = TimeSpan.zero
        for _ in 0..<6 {
            policy.connected(at: now)
            now = now + .seconds(1)
            let wait = delay(policy.lost(.transport("x"), at: now, using: &random))
            #expect(wait >= last)
            last = wait
        }
        #expect(last >= .milliseconds(1600))
        policy.connected(at: now)
        now = now + .seconds(5)
        let wait = delay(policy.lost(.transport("x"), at: now, using: &random))
        #expect(wait >= .milliseconds(50) && wait <= .milliseconds(101))
    }

    @Test mutating func aGoodbyesWaitIsTheLeast() {
        var policy = makePolicy()
        let cause = DisconnectCause.goodbye(code: 4003, reason: "", afterMs: 3000, edges: [])
        #expect(delay(policy.lost(cause, at: .zero, using: &random)) == .seconds(3))
    }

    @Test mutating func edgesAreTriedInTurnWithTheOrigin() {
        var policy = makePolicy()
        let goodbye = DisconnectCause.goodbye(code: 4000, reason: "", afterMs: 0, edges: ["http://a:1", "ftp://x", "ws://b:2"])
        policy.connected(at: .zero)
        #expect(target(policy.lost(goodbye, at: .zero, using: &random)) == "a")
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "b")
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "origin")
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "a")
        policy.connected(at: .zero)
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "origin")
    }

    @Test mutating func whoBeganEncryptedStaysSo() throws {
        var policy = ReconnectPolicy(origin: try RelayURL("wss://origin"), settings: .init())
        let goodbye = DisconnectCause.goodbye(code: 4000, reason: "", afterMs: 0, edges: ["http://a:1", "https://b:2"])
        policy.connected(at: .zero)
        #expect(target(policy.lost(goodbye, at: .zero, using: &random)) == "b")
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "origin")
        #expect(target(policy.lost(.transport("refused"), at: .zero, using: &random)) == "b")
    }

    @Test func statusesAndFaultsDecide() {
        for (status, returns) in [
            (0, true), (2, true), (13, true), (14, true), (99, true), (3, false), (7, false), (10, false), (16, false),
        ] {
            #expect(DisconnectCause.callEnded(status: status, message: "").allowsReturn == returns, "\(status)")
        }
        for (label, returns) in [("handshake_timeout", true), ("certificate_expired", true), ("unknown_ca", false), ("wrong_name", false)] {
            #expect(DisconnectCause.tls(TLSFault(label: label, text: "")).allowsReturn == returns, "\(label)")
        }
    }

    @Test func urls() throws {
        #expect(try RelayURL("http://h").description == "ws://h:80")
        #expect(try RelayURL("ws://h:7100/").description == "ws://h:7100")
        #expect(try RelayURL("HTTPS://h").description == "wss://h:443")
        #expect(try RelayURL("WS://[::1]:7100/x?y=1#z").description == "ws://[::1]:7100/x?y=1")
        #expect(try RelayURL("wss://h").target(defaultPath: "/v1/ws") == "/v1/ws")
        #expect(try RelayURL("wss://h?a=b").target(defaultPath: "/v1/ws") == "/v1/ws?a=b")
        #expect(try RelayURL("wss://h/x").target(defaultPath: "/v1/ws") == "/x")
        for bad in [
            "", "h:7100", "ftp://h", "ws://", "ws://h:0", "ws://h:x", "ws://h:70000", "ws://a b", "ws://u@h", "ws://h/\r\n", "ws:h",
            "ws://::1",
        ] {
            #expect(throws: HeliographClientError.self, "\(bad)") { try RelayURL(bad) }
        }
    }
}

@Suite struct RequestTableTests {
    @Test func answersDeadlinesLossesAndTheOrderOfRepetition() {
        var table = RequestTable<String, String>(requestsMax: 4)
        let soon = Instant(nanoseconds: 10)
        let late = Instant(nanoseconds: 20)
        let a = table.add("a", waiter: "A", deadline: late, survivesReconnect: true)
        let b = table.add("b", waiter: "B", deadline: soon, survivesReconnect: false)
        let c = table.add("c", waiter: "C", deadline: late, survivesReconnect: true)
        let d = table.add("d", waiter: "D", deadline: late, survivesReconnect: false)
        #expect(table.add("e", waiter: "E", deadline: late, survivesReconnect: true) == nil)
        #expect(Set([a, b, c, d].compactMap { $0 }).count == 4)
        #expect(table.expire(at: Instant(nanoseconds: 9)).isEmpty)
        #expect(table.expire(at: soon) == ["B"])
        #expect(b.flatMap { id in table.remove(id)?.waiter } == nil)
        #expect(table.connectionLost() == ["D"])
        #expect(table.waiting.map(\.body) == ["a", "c"])
        #expect(a.flatMap { id in table.remove(id)?.waiter } == "A")
        #expect(a.flatMap { id in table.remove(id)?.waiter } == nil)
        #expect(table.removeAll() == ["C"])
        #expect(table.count == 0)
    }

    @Test(arguments: 0..<50) func theOrderStaysThatOfSending(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var table = RequestTable<Int, Int>(requestsMax: 1000)
        var expected: [(id: UInt32, body: Int)] = []
        for body in 0..<300 {
            if let id = table.add(body, waiter: body, deadline: .zero, survivesReconnect: true) { expected.append((id, body)) }
            if Bool.random(using: &random), let index = expected.indices.randomElement(using: &random) {
                let gone = expected.remove(at: index)
                #expect(table.remove(gone.id)?.body == gone.body)
            }
        }
        #expect(table.waiting.map(\.body) == expected.map(\.body))
    }
}
