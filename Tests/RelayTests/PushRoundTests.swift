import MeshCore
import NIOCore
import Push
import Store
import Testing

@testable import Relay

private let rules = PushRules(triesMax: 3, ageMax: .seconds(60), refusalsMax: 2, retryLeast: .seconds(1), retryMost: .seconds(8))

private func notification(_ user: String = "alice") -> PushNotification {
    PushNotification(
        user: user, room: "@\(user)", position: Position(epoch: 1, seq: 2), from: "bob", contentType: "", text: "hello", dataBytes: nil,
        at: 0, reason: .message, count: 1)
}

private func claim(
    _ id: String = "a", user: String = "alice", devices: [String]? = nil, claim: Int = 1, age: TimeSpan = .zero
) throws -> ClaimedPush {
    let bytes = try QueuedNotification(notification(user), devices: devices).encoded()
    return ClaimedPush(id: id, claim: claim, age: age, body: ByteBuffer(bytes: bytes))
}

private func device(_ token: String, _ service: PushService = .apns) -> StoredPushDevice {
    StoredPushDevice(service: service.rawValue, token: token, updatedAt: 0)
}

private let retry = PushOutcome.retry(after: nil, reason: "")

@Suite struct PushRoundTests {
    private func finished(_ round: PushRound, _ outcomes: [PushOutcome]) -> PushRound {
        var round = round
        var random = SeededRandom(seed: 7)
        round.finish(outcomes, using: &random)
        return round
    }

    private func count(_ round: PushRound, _ verdict: PushRules.Verdict, _ service: PushService = .webhook) -> UInt64 {
        round.figures.outcomes[.init(service: service, verdict: verdict)] ?? 0
    }

    @Test("done is over, what failed comes back later") func webhook() throws {
        let claims = try [claim("a"), claim("b", claim: 2)]
        let round = finished(PushRound(claims, for: .webhook, rules: rules, devices: [:]), [.done, retry])
        #expect(round.settled.map(\.id) == ["a", "b"] && round.settled.map(\.claim) == [1, 2])
        #expect(round.settled[0].outcome == .over)
        guard case .later(let delay, nil) = round.settled[1].outcome else {
            Issue.record("\(round.settled[1])")
            return
        }
        #expect(delay >= .seconds(1) && delay <= .seconds(2))
        #expect(count(round, .done) == 1 && count(round, .retry) == 1)
    }

    @Test("after the last try, or too old, it is given up and counted") func givenUp() throws {
        let claims = try [claim("a", claim: 3), claim("b", age: .seconds(60))]
        let round = PushRound(claims, for: .webhook, rules: rules, devices: [:])
        #expect(round.deliveries.count == 1)
        let after = finished(round, [retry])
        #expect(Set(after.settled.map(\.id)) == ["a", "b"] && after.settled.allSatisfy { $0.outcome == .over })
        #expect(count(after, .givenUp) == 2 && after.figures.drops[.pushGivenUp] == 2)
    }

    @Test("what cannot be read is dropped and counted") func garbage() {
        let garbage = ClaimedPush(id: "a", claim: 1, age: .zero, body: ByteBuffer(string: "{"))
        let round = PushRound([garbage], for: .webhook, rules: rules, devices: [:])
        #expect(round.deliveries.isEmpty && round.settled.map(\.outcome) == [.over] && round.figures.drops[.malformedFrame] == 1)
    }

    @Test("each device of the service gets it, and only those that did not come back for it") func devices() throws {
        let known = ["alice": ["phone": device("p"), "tablet": device("t"), "other": device("o", .fcm)]]
        let round = PushRound([try claim()], for: .apns, rules: rules, devices: known)
        #expect(round.deliveries.map { $0.device?.token } == ["p", "t"])
        let after = finished(round, [.done, .retry(after: .seconds(30), reason: "")])
        guard case .later(let delay, let body?) = after.settled.first?.outcome else {
            Issue.record("\(after.settled)")
            return
        }
        #expect(delay == .seconds(30))
        #expect(QueuedNotification(body.readableBytesView)?.devices == ["tablet"])
        let again = ClaimedPush(id: "a", claim: 2, age: .zero, body: body)
        #expect(PushRound([again], for: .apns, rules: rules, devices: known).deliveries.map { $0.device?.token } == ["t"])
    }

    @Test("nobody to tell: it is over") func noDevices() throws {
        let round = PushRound([try claim()], for: .apns, rules: rules, devices: ["alice": ["other": device("o", .fcm)]])
        #expect(round.deliveries.isEmpty && round.settled.map(\.outcome) == [.over])
    }

    @Test("a device that is gone is named with its token; a refusal is counted") func gone() throws {
        let known = ["alice": ["phone": device("p"), "tablet": device("t")]]
        let round = finished(PushRound([try claim()], for: .apns, rules: rules, devices: known), [.gone, .rejected(reason: "")])
        #expect(round.gone == [.init(user: "alice", device: PushDevice(name: "phone", token: "p"))])
        #expect(round.settled.map(\.outcome) == [.over])
        #expect(count(round, .gone, .apns) == 1 && round.figures.drops[.pushRejected] == 1)
    }

    @Test("tokens that clients may register") func tokens() {
        #expect(PushToken.isValid("00fcAD", for: .apns) && PushToken.isValid("dK3:APA91b_x-", for: .fcm))
        for token in ["", "xyz", "../1", "ab cd", String(repeating: "a", count: 201)] { #expect(!PushToken.isValid(token, for: .apns)) }
        for token in ["", "a b", "ä", String(repeating: "a", count: 4_097)] { #expect(!PushToken.isValid(token, for: .fcm)) }
        #expect(!PushToken.isValid("ab", for: .webhook))
    }
}
